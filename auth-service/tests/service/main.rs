//! The auth service as its callers meet it: the real `prepare()` and `serve()` on a port of their own, the real guard,
//! on both databases. No test takes the guard out.

#[cfg(test)]
mod tests {
    mod harness;

    mod access_tokens;
    mod accounts;
    mod admins;
    mod audit;
    mod binary;
    mod crash;
    mod exchange;
    mod guard;
    mod idempotency;
    mod import;
    mod lists;
    mod login;
    mod logout;
    mod machines;
    mod password;
    mod password_reset;
    mod phone;
    mod refresh;
    mod refresh_race;
    mod register;
    mod revoke;
    mod second_factor;
    mod second_step;
    mod second_step_guesses;
    mod service_accounts;
    mod sessions;
    mod smtp_double;
    mod standing;
    mod start;
    mod step_up;
    mod suspension;
    mod takeover;
    mod throttle;
    mod trust;
    mod trust_keys;
    mod validate;
}
