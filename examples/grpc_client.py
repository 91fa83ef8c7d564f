#!/usr/bin/env python3
"""A customer, a product, an order: over gRPC, with grpcio and no generated code: the servers tell their types by
reflection. (Where that is switched off, `python3 -m grpc_tools.protoc` makes stubs of `proto/`.)

    PASSWORD=... python3 examples/grpc_client.py [127.0.0.1:50051 127.0.0.1:50052]
"""

import os
import sys
import uuid

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status


class Service:
    """One service behind an address: `service("Method", field=...)` calls it."""

    def __init__(self, channel, name):
        self.channel, self.name = channel, name
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        self.descriptor = pool.FindServiceByName(name)

    def __call__(self, method, token=None, **fields):
        kind = self.descriptor.FindMethodByName(method)
        asked, answered = GetMessageClass(kind.input_type), GetMessageClass(kind.output_type)
        call = self.channel.unary_unary(
            f"/{self.name}/{method}", request_serializer=asked.SerializeToString, response_deserializer=answered.FromString)
        metadata = [("authorization", f"Bearer {token}")] if token else []
        return call(asked(**fields), metadata=metadata, timeout=15)


def reason(call):
    """The code and the reason that a call is refused with: the status carries a google.rpc.ErrorInfo."""
    try:
        call()
    except grpc.RpcError as error:
        info = error_details_pb2.ErrorInfo()
        details = rpc_status.from_call(error).details
        next(detail for detail in details if detail.Is(info.DESCRIPTOR)).Unpack(info)
        return f"{error.code().name} {info.reason}"
    raise AssertionError("this should have been refused")


def main():
    auth_at, factory_at = sys.argv[1:3] if len(sys.argv) > 2 else ("127.0.0.1:50051", "127.0.0.1:50052")
    with grpc.insecure_channel(auth_at) as at_auth, grpc.insecure_channel(factory_at) as at_factory:
        auth = Service(at_auth, "millgate.auth.v1.AuthService")
        customers, products, orders = (
            Service(at_factory, f"millgate.factory.v1.{name}Service") for name in ("Customer", "Product", "Order"))

        unique = uuid.uuid4().hex
        login = {"email": f"ada-{unique}@example.com", "password": "a long enough one"}
        customers("RegisterCustomer", name="Ada", phone="555-0100", **login)
        customer = customers("LoginCustomer", **login).access_token
        staff = auth("Login", username="admin", password=os.environ["PASSWORD"]).access_token

        product = {"sku": f"W-{unique}", "name": "Widget", "unit_price": {"currency_code": "EUR", "units": 12}, "on_hand": 10}
        print("a customer makes no product:", reason(lambda: products("CreateProduct", customer, product=product)))
        made = products("CreateProduct", staff, product=product)
        print("staff make one:", made.name)

        order = {"lines": [{"product_id": made.id, "quantity": 3}], "request_id": str(uuid.uuid4())}
        ids = {orders("PlaceOrder", customer, **order).id for _ in range(2)}
        left = products("GetProduct", customer, id=made.id)
        print("ordered twice with one id, orders:", len(ids), "left:", left.available)

        change = {"id": made.id, "name": "Gizmo", "etag": made.etag}
        products("UpdateProduct", staff, product=change)
        print("a stale change:", reason(lambda: products("UpdateProduct", staff, product=change)))


if __name__ == "__main__":
    main()
