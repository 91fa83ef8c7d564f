//! What requests say of a customer: parsed, with every bad field at once.

use millgate_contract::factory::v1 as pb;
use millgate_platform::idempotency::parse_request_id;
use millgate_platform::{Fault, FieldFault, Fields, Mask, Reason};

use super::convert::{id, not_writable};
use crate::domain::access::Sight;
use crate::domain::contact::{Email, Phone};
use crate::domain::customer::{Customer, CustomerFields, MAX_ADDRESS, MAX_NOTES};
use crate::domain::name::{Name, NameFields};
use crate::domain::text;
use crate::registration::Asked;

/// Every field of a customer.
const KNOWN: &[&str] = &[
    "id",
    "name",
    "first_name",
    "last_name",
    "email",
    "phone",
    "phone_number",
    "shipping_address",
    "notes",
    "user_id",
    "etag",
    "create_time",
    "update_time",
    "delete_time",
    "erase_time",
];
/// Those that customers write of themselves. Staff write [`NOTES`] too.
const WRITABLE: &[&str] = &[
    "name",
    "first_name",
    "last_name",
    "email",
    "phone",
    "phone_number",
    "shipping_address",
];
const STAFF_WRITABLE: &[&str] = &[
    "name",
    "first_name",
    "last_name",
    "email",
    "phone",
    "phone_number",
    "shipping_address",
    NOTES,
];
const NOTES: &str = "notes";
/// Where the fields of a create and an update stand.
const CUSTOMER: &str = "customer.";

/// A text that a create says; an empty one counts as not said.
fn said(text: &str) -> Option<&str> {
    (!text.trim().is_empty()).then_some(text)
}

/// The registration that was asked for. `hash` is of the request without its request id.
pub(super) fn parse_registration(
    message: &pb::RegisterCustomerRequest,
    request_id: &str,
    hash: impl Fn(&pb::RegisterCustomerRequest) -> Vec<u8>,
) -> Result<Asked, Fault> {
    let mut fields = Fields::new();
    let name = Name::resolve(
        NameFields::of_new("", &message.name, &message.first_name, &message.last_name),
        None,
        &mut fields,
    );
    let email = fields.parse("email", Email::parse(&message.email));
    let phone = fields.parse(
        "phone",
        Phone::parse_either(said(&message.phone), said(&message.phone_number)),
    );
    let address = fields.parse(
        "shipping_address",
        text::paragraph(&message.shipping_address, 0, MAX_ADDRESS),
    );
    // What makes a good password is auth's to say; that there is none can be said with the other fields.
    let missing = FieldFault::new(Reason::PasswordTooShort, "is needed");
    fields.check("password", !message.password.is_empty(), missing);
    let request_id = match request_id {
        "" => Some(None),
        id => fields.parse("request_id", parse_request_id(id)).map(Some),
    };
    let (name, email, phone, shipping_address, request_id) =
        fields.all((name, email, phone, address, request_id))?;
    let phone = phone.unwrap_or_default();
    let fields = CustomerFields {
        name,
        email,
        phone,
        shipping_address,
        notes: String::new(),
    };
    Ok(Asked {
        fields,
        request_id,
        body_hash: hash(message),
    })
}

/// The profile that staff make.
pub(super) fn parse_new(request: &pb::CreateCustomerRequest) -> Result<CustomerFields, Fault> {
    let mut fields = Fields::of_request(&request.request_id);
    let unset = pb::Customer::default();
    let message = request.customer.as_ref().unwrap_or(&unset);
    let served = [
        ("id", message.id != 0),
        ("user_id", message.user_id != 0),
        ("create_time", message.create_time.is_some()),
        ("update_time", message.update_time.is_some()),
        ("delete_time", message.delete_time.is_some()),
        ("erase_time", message.erase_time.is_some()),
    ];
    for (field, set) in served {
        fields.check(&format!("customer.{field}"), !set, not_writable());
    }
    let name = Name::resolve(
        NameFields::of_new(
            CUSTOMER,
            &message.name,
            &message.first_name,
            &message.last_name,
        ),
        None,
        &mut fields,
    );
    let email = fields.parse("customer.email", Email::parse(&message.email));
    let phone = fields.parse(
        "customer.phone",
        Phone::parse_either(said(&message.phone), said(&message.phone_number)),
    );
    let address = fields.parse(
        "customer.shipping_address",
        text::paragraph(&message.shipping_address, 0, MAX_ADDRESS),
    );
    let notes = fields.parse(
        "customer.notes",
        text::paragraph(&message.notes, 0, MAX_NOTES),
    );
    let (name, email, phone, shipping_address, notes) =
        fields.all((name, email, phone, address, notes))?;
    Ok(CustomerFields {
        name,
        email,
        phone: phone.unwrap_or_default(),
        shipping_address,
        notes,
    })
}

/// What UpdateCustomer changes: a field that the mask does not name stays as it is.
pub(super) struct Change {
    /// Which customer.
    pub(super) id: i64,
    etag: String,
    mask: Mask,
    customer: pb::Customer,
    email: Option<Email>,
    phone: Option<Phone>,
    shipping_address: Option<String>,
    notes: Option<String>,
}

impl Change {
    /// Parses what does not depend on what is there: all but the name.
    pub(super) fn parse(message: pb::UpdateCustomerRequest, sight: Sight) -> Result<Self, Fault> {
        let customer = message
            .customer
            .ok_or_else(|| Fault::field("customer", "is needed"))?;
        let writable = if sight.is_all() {
            STAFF_WRITABLE
        } else {
            WRITABLE
        };
        let mask = Mask::resolve(
            message.update_mask.as_ref(),
            KNOWN,
            writable,
            &set(&customer),
        )?;
        let mut fields = Fields::new();
        let id = fields.parse("customer.id", id(customer.id));
        let email = mask
            .has("email")
            .then(|| fields.parse("customer.email", Email::parse(&customer.email)));
        let phone = Phone::parse_either(
            mask.has("phone").then_some(customer.phone.as_str()),
            mask.has("phone_number")
                .then_some(customer.phone_number.as_str()),
        );
        let phone = fields.parse("customer.phone", phone);
        let shipping_address = mask.has("shipping_address").then(|| {
            let parsed = text::paragraph(&customer.shipping_address, 0, MAX_ADDRESS);
            fields.parse("customer.shipping_address", parsed)
        });
        let notes = mask.has(NOTES).then(|| {
            fields.parse(
                "customer.notes",
                text::paragraph(&customer.notes, 0, MAX_NOTES),
            )
        });
        // The name is parsed once more on top of the stored one; here its faults join the others'.
        let any = Name::stored("?".to_owned(), String::new());
        let name = Name::resolve(name_fields(&mask, &customer), Some(&any), &mut fields);
        let (id, phone, _) = fields.all((id, phone, name))?;
        Ok(Self {
            id,
            etag: customer.etag.clone(),
            email: email.flatten(),
            phone,
            shipping_address: shipping_address.flatten(),
            notes: notes.flatten(),
            mask,
            customer,
        })
    }

    /// Changes the customer that is there.
    ///
    /// # Errors
    /// As [`Customer::touch`]; FIELD_INVALID when both forms of the name do not say the same.
    pub(super) fn apply(self, customer: &mut Customer, now: i64) -> Result<(), Fault> {
        customer.touch(&self.etag, now)?;
        let mut fields = Fields::new();
        let name = Name::resolve(
            name_fields(&self.mask, &self.customer),
            Some(&customer.fields.name),
            &mut fields,
        );
        let (name,) = fields.all((name,))?;
        let fields = &mut customer.fields;
        fields.name = name;
        fields.email = self.email.unwrap_or_else(|| fields.email.clone());
        fields.phone = self.phone.unwrap_or_else(|| fields.phone.clone());
        fields.shipping_address = self
            .shipping_address
            .unwrap_or_else(|| fields.shipping_address.clone());
        fields.notes = self.notes.unwrap_or_else(|| fields.notes.clone());
        Ok(())
    }
}

fn name_fields<'a>(mask: &Mask, customer: &'a pb::Customer) -> NameFields<'a> {
    NameFields {
        within: CUSTOMER,
        whole: mask.has("name").then_some(customer.name.as_str()),
        first: mask
            .has("first_name")
            .then_some(customer.first_name.as_str()),
        last: mask.has("last_name").then_some(customer.last_name.as_str()),
    }
}

/// The fields that are set, for an update without a mask.
fn set(customer: &pb::Customer) -> Vec<&'static str> {
    let fields = [
        ("name", &customer.name),
        ("first_name", &customer.first_name),
        ("last_name", &customer.last_name),
        ("email", &customer.email),
        ("phone", &customer.phone),
        ("phone_number", &customer.phone_number),
        ("shipping_address", &customer.shipping_address),
        (NOTES, &customer.notes),
    ];
    fields
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(field, _)| field)
        .collect()
}
