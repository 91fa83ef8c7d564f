//! What requests say of a product: parsed, with every bad field at once.

use millgate_contract::factory::v1 as pb;
use millgate_platform::{Fault, Fields, Mask, Reason};

use super::convert::{id, not_writable, parse_money, product_state};
use crate::domain::access::Sight;
use crate::domain::money::Money;
use crate::domain::paging::OrderBy;
use crate::domain::product::{self, Product, ProductFields, ProductState, Sku};
use crate::domain::rate::BasisPoints;
use crate::domain::text;
use crate::store::product::Filter;

/// Every field of a product.
const KNOWN: &[&str] = &[
    "id",
    "sku",
    "name",
    "description",
    "unit_price",
    "on_hand",
    "reserved",
    "available",
    "state",
    "tax_rate_basis_points",
    "reorder_threshold",
    "etag",
    "create_time",
    "update_time",
    "delete_time",
];
/// Those that UpdateProduct writes.
const WRITABLE: &[&str] = &[
    "sku",
    "name",
    "description",
    "unit_price",
    "state",
    "tax_rate_basis_points",
    "reorder_threshold",
];

pub(super) fn parse_new(request: &pb::CreateProductRequest) -> Result<(ProductFields, i64), Fault> {
    let mut fields = Fields::of_request(&request.request_id);
    let unset = pb::Product::default();
    let message = request.product.as_ref().unwrap_or(&unset);
    let served = [
        ("product.id", message.id != 0),
        ("product.reserved", message.reserved != 0),
        ("product.available", message.available != 0),
        ("product.create_time", message.create_time.is_some()),
        ("product.update_time", message.update_time.is_some()),
        ("product.delete_time", message.delete_time.is_some()),
    ];
    for (field, set) in served {
        fields.check(field, !set, not_writable());
    }
    let sku = fields.parse("product.sku", Sku::parse(&message.sku));
    let name = fields.parse(
        "product.name",
        text::line(&message.name, 1, product::MAX_NAME),
    );
    let description = fields.parse(
        "product.description",
        text::paragraph(&message.description, 0, product::MAX_DESCRIPTION),
    );
    let unit_price = fields.parse(
        "product.unit_price",
        parse_money(message.unit_price.as_ref()),
    );
    let on_hand = fields.parse("product.on_hand", product::first_stock(message.on_hand));
    let state = fields.parse("product.state", product_state(message.state));
    let tax_rate = fields.parse(
        "product.tax_rate_basis_points",
        BasisPoints::parse(message.tax_rate_basis_points),
    );
    let threshold = fields.parse(
        "product.reorder_threshold",
        product::threshold(message.reorder_threshold),
    );
    let parsed = (
        sku,
        name,
        description,
        unit_price,
        on_hand,
        state,
        tax_rate,
        threshold,
    );
    let (sku, name, description, unit_price, on_hand, state, tax_rate, reorder_threshold) =
        fields.all(parsed)?;
    let state = state.unwrap_or(ProductState::Active);
    Ok((
        ProductFields {
            sku,
            name,
            description,
            unit_price,
            state,
            tax_rate,
            reorder_threshold,
        },
        on_hand,
    ))
}

pub(super) fn parse_ids(ids: &[i64]) -> Result<Vec<i64>, Fault> {
    let mut fields = Fields::new();
    fields.check(
        "ids",
        (1..=product::MAX_BATCH).contains(&ids.len()),
        format!("must be 1 to {}", product::MAX_BATCH),
    );
    for (i, asked) in ids.iter().enumerate().take(product::MAX_BATCH) {
        fields.parse(&format!("ids[{i}]"), id(*asked));
    }
    fields.finish()?;
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

pub(super) fn parse_filter(
    message: &pb::ListProductsRequest,
    sight: Sight,
) -> Result<(Filter, OrderBy), Fault> {
    if message.show_deleted && !sight.is_all() {
        return Err(Fault::new(
            Reason::RoleDenied,
            "show_deleted: only staff see deleted products",
        ));
    }
    let mut fields = Fields::new();
    let query = fields.parse("query", text::Prefix::parse(&message.query));
    let state = fields.parse("state", product_state(message.state));
    let by = fields.parse(
        "order_by",
        OrderBy::parse(&message.order_by, &["id", "sku"]),
    );
    let (query, state, by) = fields.all((query, state, by))?;
    Ok((
        Filter {
            query,
            state,
            low_stock: message.low_stock,
            show_deleted: message.show_deleted,
        },
        by,
    ))
}

/// What UpdateProduct changes: a field that the mask does not name stays as it is.
pub(super) struct Change {
    /// Which product.
    pub(super) id: i64,
    etag: String,
    sku: Option<Sku>,
    name: Option<String>,
    description: Option<String>,
    unit_price: Option<Money>,
    state: Option<ProductState>,
    tax_rate: Option<BasisPoints>,
    reorder_threshold: Option<i64>,
}

impl Change {
    pub(super) fn parse(message: pb::UpdateProductRequest) -> Result<Self, Fault> {
        let product = message
            .product
            .ok_or_else(|| Fault::field("product", "is needed"))?;
        let set: Vec<&'static str> = [
            ("sku", !product.sku.is_empty()),
            ("name", !product.name.is_empty()),
            ("description", !product.description.is_empty()),
            ("unit_price", product.unit_price.is_some()),
            ("state", product.state != 0),
            ("tax_rate_basis_points", product.tax_rate_basis_points != 0),
            ("reorder_threshold", product.reorder_threshold != 0),
        ]
        .into_iter()
        .filter_map(|(field, set)| set.then_some(field))
        .collect();
        let mask = Mask::resolve(message.update_mask.as_ref(), KNOWN, WRITABLE, &set)?;
        let mut fields = Fields::new();
        let id = fields.parse("product.id", id(product.id));
        let sku = mask
            .has("sku")
            .then(|| fields.parse("product.sku", Sku::parse(&product.sku)));
        let name = mask.has("name").then(|| {
            fields.parse(
                "product.name",
                text::line(&product.name, 1, product::MAX_NAME),
            )
        });
        let description = mask.has("description").then(|| {
            let parsed = text::paragraph(&product.description, 0, product::MAX_DESCRIPTION);
            fields.parse("product.description", parsed)
        });
        let unit_price = mask.has("unit_price").then(|| {
            fields.parse(
                "product.unit_price",
                parse_money(product.unit_price.as_ref()),
            )
        });
        let state = mask.has("state").then(|| {
            let state = product_state(product.state)
                .and_then(|state| state.ok_or_else(|| "is needed".into()));
            fields.parse("product.state", state)
        });
        let tax_rate = mask.has("tax_rate_basis_points").then(|| {
            let parsed = BasisPoints::parse(product.tax_rate_basis_points);
            fields.parse("product.tax_rate_basis_points", parsed)
        });
        let threshold = mask.has("reorder_threshold").then(|| {
            let parsed = product::threshold(product.reorder_threshold);
            fields.parse("product.reorder_threshold", parsed)
        });
        let (id,) = fields.all((id,))?;
        Ok(Self {
            id,
            tax_rate: tax_rate.flatten(),
            reorder_threshold: threshold.flatten(),
            etag: product.etag,
            sku: sku.flatten(),
            name: name.flatten(),
            description: description.flatten(),
            unit_price: unit_price.flatten(),
            state: state.flatten(),
        })
    }

    pub(super) fn apply(self, product: &mut Product, now: i64) -> Result<(), Fault> {
        product.touch(&self.etag, now)?;
        let fields = &mut product.fields;
        fields.sku = self.sku.unwrap_or_else(|| fields.sku.clone());
        fields.name = self
            .name
            .unwrap_or_else(|| std::mem::take(&mut fields.name));
        fields.description = self
            .description
            .unwrap_or_else(|| std::mem::take(&mut fields.description));
        fields.unit_price = self.unit_price.unwrap_or(fields.unit_price);
        fields.state = self.state.unwrap_or(fields.state);
        fields.tax_rate = self.tax_rate.unwrap_or(fields.tax_rate);
        fields.reorder_threshold = self.reorder_threshold.unwrap_or(fields.reorder_threshold);
        Ok(())
    }
}
