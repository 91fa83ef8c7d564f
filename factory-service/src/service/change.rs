//! ChangeService.

use std::pin::Pin;

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::change_service_server::ChangeService;
use millgate_guard::Admitted;
use millgate_platform::{Cursor, Fault, Fields, Page};
use prost_types::{ListValue, Struct, Value, value::Kind as ValueKind};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::convert::{id_filter, time};
use super::paging::{PAGE_BYTES, fitting_of_more};
use super::watching::{self, Watch};
use super::{Answer, Shared};
use crate::domain::change::{Change, Kind};
use crate::domain::paging::OrderBy;
use crate::domain::text;
use crate::store::change::{self as store, Filter};

/// The longest actor or verb that can be looked for, in characters.
const MAX_WORD: usize = 200;

/// What was changed, by whom, and when.
pub(crate) struct Changes(pub(crate) Shared);

#[tonic::async_trait]
impl ChangeService for Changes {
    type WatchChangesStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchChangesResponse, Status>> + Send>>;

    async fn list_changes(
        &self,
        request: Request<pb::ListChangesRequest>,
    ) -> Answer<pb::ListChangesResponse> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let (size, token) = (
            std::mem::take(&mut message.page_size),
            std::mem::take(&mut message.page_token),
        );
        let page = self
            .0
            .page(&caller, (size, &token), "ListChanges", &message)?;
        let (filter, by) = parse_filter(&message)?;
        let read = self.read(&filter, by, &page).await?;
        let (changes, next_page_token) = fitting_of_more(
            &page,
            (&read.0, read.1),
            |change| Cursor::id(change.seq),
            message_of,
        );
        Ok(Response::new(pb::ListChangesResponse {
            changes,
            next_page_token,
        }))
    }

    async fn watch_changes(
        &self,
        request: Request<pb::WatchChangesRequest>,
    ) -> Answer<Self::WatchChangesStream> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let kind = fields.parse("resource_kind", Kind::parse_filter(&message.resource_kind));
        let from = fields.parse("from_sequence", watching::from(message.from_sequence));
        let (kind, from) = fields.all((kind, from))?;
        let watch = Watch {
            filter: Filter {
                kind,
                ..Filter::default()
            },
            from,
        };
        let response = |change: &Change| {
            Ok(pb::WatchChangesResponse {
                change: Some(message_of(change)),
            })
        };
        let stream =
            watching::stream(&self.0.db, &self.0.feed, &caller.key(), watch, response).await?;
        Ok(Response::new(Box::pin(stream)))
    }
}

impl Changes {
    /// The changes of a page, a few at a time until they are heavy enough: one may show an order of five hundred lines.
    /// And whether more follow.
    async fn read(
        &self,
        filter: &Filter,
        by: OrderBy,
        page: &Page,
    ) -> Result<(Vec<Change>, bool), Fault> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut part = page.clone();
        loop {
            let left = page.size - i64::try_from(rows.len()).unwrap_or(page.size);
            part.size = left.min(watching::BATCH);
            let mut some = store::list(&self.0.db, filter, by, &part).await?;
            let size = usize::try_from(part.size).unwrap_or(0);
            let more_follow = some.len() > size;
            some.truncate(size);
            bytes += some.iter().map(Change::weight).sum::<usize>();
            part.after = some.last().map(|change| Cursor::id(change.seq));
            rows.extend(some);
            if !more_follow || left == part.size || bytes > PAGE_BYTES {
                return Ok((rows, more_follow));
            }
        }
    }
}

fn parse_filter(message: &pb::ListChangesRequest) -> Result<(Filter, OrderBy), Fault> {
    let mut fields = Fields::new();
    let kind = fields.parse("resource_kind", Kind::parse_filter(&message.resource_kind));
    let resource_id = fields.parse("resource_id", id_filter(message.resource_id));
    fields.check(
        "resource_kind",
        message.resource_id == 0 || !message.resource_kind.is_empty(),
        "is needed with `resource_id`",
    );
    let actor = fields.parse("actor", text::line(&message.actor, 0, MAX_WORD));
    let verb = fields.parse("verb", text::line(&message.verb, 0, MAX_WORD));
    // The newest first, unless the caller says otherwise.
    let asked = match message.order_by.trim() {
        "" => "sequence desc",
        asked => asked,
    };
    let by = fields.parse("order_by", OrderBy::parse(asked, &["sequence"]));
    let (kind, resource_id, actor, verb, by) = fields.all((kind, resource_id, actor, verb, by))?;
    let word = |word: String| Some(word).filter(|word| !word.is_empty());
    Ok((
        Filter {
            kind,
            resource_id,
            actor: word(actor),
            verb: word(verb),
            owner: None,
        },
        by,
    ))
}

fn message_of(change: &Change) -> pb::Change {
    let shown = |json: &Option<String>| json.as_deref().and_then(structure);
    let author = change.author.clone();
    pb::Change {
        sequence: change.seq,
        time: time(change.time),
        actor: author.actor.key,
        session: author.actor.session,
        acting_service: author.act,
        request_id: author.request_id,
        resource_kind: change.kind.clone(),
        resource_id: change.resource_id,
        verb: change.verb.clone(),
        before: shown(&change.before),
        after: shown(&change.after),
    }
}

fn structure(json: &str) -> Option<Struct> {
    match value(serde_json::from_str(json).ok()?).kind {
        Some(ValueKind::StructValue(structure)) => Some(structure),
        _ => None,
    }
}

/// JSON as a message. What we write ourselves is a few levels deep.
fn value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => ValueKind::NullValue(0),
        Json::Bool(value) => ValueKind::BoolValue(value),
        Json::Number(number) => ValueKind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => ValueKind::StringValue(text),
        Json::Array(values) => ValueKind::ListValue(ListValue {
            values: values.into_iter().map(value).collect(),
        }),
        Json::Object(members) => ValueKind::StructValue(Struct {
            fields: members
                .into_iter()
                .map(|(name, member)| (name, value(member)))
                .collect(),
        }),
    };
    Value { kind: Some(kind) }
}
