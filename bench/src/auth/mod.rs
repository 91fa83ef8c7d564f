//! The measurements of the auth service.

mod flood;
mod logins;
mod statements;
mod timing;
mod tokens;
mod world;

use crate::Problem;
use crate::args::{Args, Which};
use crate::keys::Keys;
use crate::stage::Stage;
use crate::table::Report;

pub(crate) use world::Auth;

/// Measures what was asked for, on each database.
pub(crate) async fn measure(
    args: &Args,
    stage: &Stage,
    keys: &Keys,
    report: &mut Report,
) -> Result<(), Problem> {
    let plan = args.plan();
    for auth in &stage.auths(keys).await? {
        if args.wants(Which::E) {
            report.add(logins::measure(auth, &plan).await?);
        }
        if args.wants(Which::F) {
            flood::measure(auth, &plan, report).await?;
        }
        if args.wants(Which::G) {
            report.add(tokens::measure(auth, keys, &plan).await?);
        }
        if args.wants(Which::H) {
            timing::measure(auth, args.arm, report).await?;
        }
    }
    Ok(())
}
