//! ProductionService.

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::production_service_server::ProductionService;
use millgate_guard::Admitted;
use millgate_platform::{Cursor, Fault, Fields, Tx};
use tonic::{Request, Response};

use super::convert::id;
use super::log::Seen;
use super::paging::fitting;
use super::production_fields::{parse_filter, parse_new, parse_outcome};
use super::{Answer, Begun, Shared, Who, Work};
use crate::domain::production::{self, Outcome, Run, RunVerb};
use crate::domain::{employee, product};
use crate::store::{employee as employees, product as products, production as store, stock};

/// What the factory is making.
pub(crate) struct Production(pub(crate) Shared);

#[tonic::async_trait]
impl ProductionService for Production {
    async fn create_run(
        &self,
        request: Request<pb::CreateRunRequest>,
    ) -> Answer<pb::ProductionRun> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let who = Who::of(caller);
        let plan = parse_new(&message)?;
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&who.caller, "CreateRun", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let start_time = plan.start(work.now)?;
        if !products::refer_to(&mut work.tx, plan.product_id).await? {
            return Err(product::not_found(plan.product_id).into());
        }
        if let Some(id) = plan.employee_id
            && employees::refer_to(&mut work.tx, id).await?.is_none()
        {
            return Err(employee::not_found(id).into());
        }
        let run = store::insert(&mut work.tx, &plan, start_time, work.now).await?;
        work.created(Seen::Run(&run)).await?;
        Ok(Response::new(work.done(who.run(&run)).await?))
    }

    async fn get_run(&self, request: Request<pb::GetRunRequest>) -> Answer<pb::ProductionRun> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let run = store::get(&self.0.db, id).await?;
        let run = run.ok_or_else(|| production::not_found(id))?;
        Ok(Response::new(Who::of(caller).run(&run)))
    }

    async fn list_runs(
        &self,
        request: Request<pb::ListRunsRequest>,
    ) -> Answer<pb::ListRunsResponse> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let (size, token) = (
            std::mem::take(&mut message.page_size),
            std::mem::take(&mut message.page_token),
        );
        let page = self.0.page(&caller, (size, &token), "ListRuns", &message)?;
        let filter = parse_filter(&message)?;
        let rows = store::list(&self.0.db, &filter, &page).await?;
        let who = Who::of(caller);
        let (runs, next_page_token) =
            fitting(&page, &rows, |run| Cursor::id(run.id), |run| who.run(run));
        Ok(Response::new(pb::ListRunsResponse {
            runs,
            next_page_token,
        }))
    }

    async fn complete_run(
        &self,
        request: Request<pb::CompleteRunRequest>,
    ) -> Answer<pb::ProductionRun> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let who = Who::of(caller);
        let (id, outcome) = parse_outcome(&message)?;
        let request_id = std::mem::take(&mut message.request_id);
        let work = match self
            .0
            .begin(&who.caller, "CompleteRun", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        end(work, &who, id, (RunVerb::Complete, outcome), &message.etag).await
    }

    async fn cancel_run(
        &self,
        request: Request<pb::CancelRunRequest>,
    ) -> Answer<pb::ProductionRun> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let who = Who::of(caller);
        let mut fields = Fields::of_request(&message.request_id);
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let request_id = std::mem::take(&mut message.request_id);
        let work = match self
            .0
            .begin(&who.caller, "CancelRun", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let nothing = Outcome {
            produced: 0,
            scrap: 0,
        };
        end(work, &who, id, (RunVerb::Cancel, nothing), &message.etag).await
    }
}

/// Ends a run. What it produced becomes stock, with a row in the ledger, in the same transaction. The run is locked
/// before its product, by everybody.
async fn end(
    mut work: Work<pb::ProductionRun>,
    who: &Who,
    id: i64,
    (verb, outcome): (RunVerb, Outcome),
    etag: &str,
) -> Answer<pb::ProductionRun> {
    let before = locked(&mut work.tx, id).await?;
    let mut run = before.clone();
    run.apply(verb, outcome, etag, work.now)?;
    store::save_move(&mut work.tx, &run).await?;
    if outcome.produced > 0 {
        let before = products::lock(&mut work.tx, run.product_id)
            .await?
            .ok_or_else(|| product::not_found(run.product_id))?;
        let mut product = before.clone();
        product.gain(outcome.produced, work.now);
        products::save(&mut work.tx, &product).await?;
        stock::note_production(&mut work.tx, &run, &who.actor, work.now).await?;
        let (before, after) = (Seen::Product(&before), Seen::Product(&product));
        work.changed("produce", before, after).await?;
    }
    let (before, after) = (Seen::Run(&before), Seen::Run(&run));
    work.changed(verb.as_str(), before, after).await?;
    Ok(Response::new(work.done(who.run(&run)).await?))
}

async fn locked(tx: &mut Tx, id: i64) -> Result<Run, Fault> {
    store::lock(tx, id)
        .await?
        .ok_or_else(|| production::not_found(id))
}
