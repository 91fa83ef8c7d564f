//! Every setting of every binary, as the binaries themselves declare them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Arg, Args, Command};
use millgate_platform::LogArgs;

const HEAD: &str = "\
# Configuration

Generated from the binaries by `millgate settings`; a test keeps it in step. Every setting is an environment variable and
a flag; the flag wins. A wrong value is refused at the start, with the setting's name. A secret `X` can also be given as
`X_FILE`, the path of a file that holds it; where both are set, the start is refused. `millgate serve` takes the settings
of the single services too, by their environment variables; only how the services find and know each other it sets itself
(`AUTH_ENDPOINT`, `FACTORY_ENDPOINT`, `FACTORY_CLIENT_ID`, `FACTORY_CLIENT_SECRET`, `AUTH_FACTORY_CLIENT_SECRET`).

Durations are a whole number and a unit: `250ms`, `10s`, `5m`, `24h`, `7d`.
";

/// What is told of one setting.
struct Setting {
    flag: String,
    default: String,
    help: String,
    binaries: Vec<&'static str>,
}

/// The whole page: what `docs/configuration.md` holds and `millgate settings` prints.
pub(crate) fn page() -> String {
    let mut settings: BTreeMap<String, Setting> = BTreeMap::new();
    for (binary, command) in binaries() {
        for argument in command.get_arguments() {
            let Some(variable) = argument.get_env().and_then(|name| name.to_str()) else {
                continue;
            };
            let setting = settings
                .entry(variable.to_owned())
                .or_insert_with(|| setting(argument));
            setting.binaries.push(binary);
        }
    }
    let mut page = String::from(HEAD);
    let mut sections: Vec<(String, Vec<&str>)> = vec![("More than one".to_owned(), Vec::new())];
    sections.extend(binaries().map(|(binary, _)| (format!("`{binary}` alone"), vec![binary])));
    for (title, only) in sections {
        let belongs = |setting: &Setting| match only.as_slice() {
            [] => setting.binaries.len() > 1,
            only => setting.binaries == only,
        };
        let shared = only.is_empty();
        let _ = write!(
            page,
            "\n## {title}\n\n| Variable | Flag | Default | What it is |{}\n",
            if shared { " Read by |" } else { "" }
        );
        page.push_str(if shared {
            "| --- | --- | --- | --- | --- |\n"
        } else {
            "| --- | --- | --- | --- |\n"
        });
        for (variable, setting) in settings.iter().filter(|(_, setting)| belongs(setting)) {
            let Setting {
                flag,
                default,
                help,
                binaries,
            } = setting;
            let _ = write!(page, "| `{variable}` | `--{flag}` | {default} | {help} |");
            page.push_str(&if shared {
                format!(" {} |\n", binaries.join(", "))
            } else {
                "\n".to_owned()
            });
        }
    }
    page
}

fn binaries() -> impl Iterator<Item = (&'static str, Command)> {
    let with_logs = |command: Command| LogArgs::augment_args(command);
    [
        (
            "millgate serve",
            crate::serve::Args::augment_args(Command::new("millgate")),
        ),
        (
            "auth-service",
            with_logs(auth_service::Config::augment_args(Command::new(
                "auth-service",
            ))),
        ),
        (
            "factory-service",
            with_logs(factory_service::Config::augment_args(Command::new(
                "factory-service",
            ))),
        ),
        (
            "gateway",
            with_logs(gateway::Config::augment_args(Command::new("gateway"))),
        ),
    ]
    .into_iter()
}

fn setting(argument: &Arg) -> Setting {
    let help = argument
        .get_long_help()
        .or_else(|| argument.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let defaults: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    Setting {
        flag: argument.get_long().unwrap_or_default().to_owned(),
        default: defaults.join(", "),
        help: help
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('|', "\\|"),
        binaries: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    /// Rewrites the page when asked to: `MILLGATE_UPDATE_DOCS=1 cargo test -p millgate`.
    #[test]
    fn the_configuration_page_is_the_one_of_the_binaries() {
        crate::policy::in_step("configuration.md", &super::page());
    }
}
