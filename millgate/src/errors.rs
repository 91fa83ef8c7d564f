//! Every reason for a refusal, as the platform's table and the gateway's say it.

use std::fmt::Write as _;

use gateway::error::{Circumstances, name_of};
use gateway::problem::Problem;
use millgate_platform::Reason;

const HEAD: &str = "\
# Errors

Generated from the services' table of reasons by `millgate errors`; a test keeps it in step.

Every error carries a `google.rpc.ErrorInfo` with the domain `millgate` and one of these reasons. Branch on the reason:
messages are for people and may change. Bad fields come all together in a `google.rpc.BadRequest`; what may be tried
again later carries a `google.rpc.RetryInfo`, over HTTP also `Retry-After`. Over HTTP the body is

```json
{\"error\":{\"code\":401,\"status\":\"UNAUTHENTICATED\",\"message\":\"...\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"TOKEN_MISSING\",\"domain\":\"millgate\",\"metadata\":{}}]}}
```

`ETAG_MISMATCH` is 412 where the request had an `If-Match`.

| Reason | gRPC code | HTTP | What it means |
| --- | --- | --- | --- |
";

/// Reasons that the gateway gives itself, for what never reaches a service.
const OF_THE_GATEWAY: &str = "
The gateway's own, for what never reaches a service:

| Reason | HTTP | What it means |
| --- | --- | --- |
| `ROUTE_NOT_FOUND` | 404 | No method has this path. |
| `METHOD_NOT_ALLOWED` | 405 | The path has other verbs; `Allow` names them. |
| `NOT_ACCEPTABLE` | 406 | Only `application/json` is answered. |
| `BODY_TIMEOUT` | 408 | The body did not arrive in time. |
| `STREAM_NOT_SERVED` | 501 | The method streams both ways, which is not served over HTTP. |
| `UPSTREAM_UNAVAILABLE` | 503 | The service behind the route cannot be reached. |
";

/// The whole page: what `docs/errors.md` holds and `millgate errors` prints.
pub(crate) fn page() -> String {
    let mut page = String::from(HEAD);
    for reason in Reason::ALL {
        let problem = Problem::new(reason.code(), reason.as_str(), "");
        let http = problem.http_status(&Circumstances::default()).as_u16();
        let (name, code, meaning) = (
            reason.as_str(),
            name_of(reason.code()),
            reason.meaning().trim(),
        );
        let _ = writeln!(page, "| `{name}` | `{code}` | {http} | {meaning} |");
    }
    page.push_str(OF_THE_GATEWAY);
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_of_errors_is_the_table_of_the_services() {
        crate::policy::in_step("errors.md", &super::page());
    }
}
