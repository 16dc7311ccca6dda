//! The installed plugins, and the walls that this kernel can build around them.

use std::path::Path;

use anyhow::Context;
use bedside_plugin_host::{
    KernelFeatures, PluginsConfig, SandboxPolicy,
    discovery::{Package, find},
};

use super::finding::Finding;
use crate::config::Config;

const CHECK: &str = "plugins";
const SANDBOX: &str = "sandbox";
/// Files are fully covered from this version on: Linux 6.2.
const WHOLE_LANDLOCK: u32 = 3;

pub(super) fn look(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let section = &config.plugins;
    if !section.enabled {
        let text = "plugins.enabled is false: no knowledge base answers";
        return Ok(vec![Finding::note(CHECK, text, "set it to true")]);
    }
    let executable = std::env::current_exe().context("cannot tell where this program is")?;
    let beside = executable.parent().unwrap_or(Path::new("."));
    let dirs = [section.dir.clone().unwrap_or_else(|| beside.join("plugins"))];
    let mut findings = match find(&dirs) {
        Ok(packages) => {
            let installed = packages
                .iter()
                .map(|it| Installed::of(it, section))
                .collect::<Vec<_>>();
            let places = dirs.map(|it| it.display().to_string());
            judge(&places.join(", "), &installed, &section.refuse_on_failure)
        }
        Err(error) => vec![Finding::problem(
            CHECK,
            error.to_string(),
            "let the bot's user read plugins.dir",
        )],
    };
    let runner = beside.join("bedside-plugin-runner");
    if !runner.is_file() {
        let text = format!(
            "{} is missing: no plugin can run in a process of its own",
            runner.display()
        );
        findings.push(Finding::problem(CHECK, text, "install it beside the program"));
    }
    let features = KernelFeatures::of_this_kernel();
    findings.push(sandbox(features, section.sandbox, control_groups()));
    Ok(findings)
}

struct Installed {
    id: String,
    version: String,
    is_disabled: bool,
    /// Why it cannot be used.
    problem: Option<String>,
}

impl Installed {
    fn of(package: &Package, section: &PluginsConfig) -> Self {
        let problem = match &package.manifest {
            Err(error) => Some(error.to_string()),
            Ok(manifest) => {
                let library = package.folder.join(&manifest.library);
                (!library.is_file()).then(|| format!("{} is missing", library.display()))
            }
        };
        Self {
            id: package.id.clone(),
            version: package.version.clone(),
            is_disabled: section.disabled.contains(&package.id),
            problem,
        }
    }
}

fn judge(place: &str, installed: &[Installed], needed: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for plugin in installed {
        let name = format!("{} {}", plugin.id, plugin.version);
        findings.push(match &plugin.problem {
            _ if plugin.is_disabled => Finding::ok(CHECK, format!("{name} is switched off")),
            None => Finding::ok(CHECK, name),
            Some(problem) => Finding::problem(
                CHECK,
                format!("{name}: {problem}"),
                "install it anew, or name it in plugins.disabled",
            ),
        });
    }
    if installed.is_empty() {
        let text = format!("there are none in {place}: no knowledge base answers");
        findings.push(Finding::note(CHECK, text, "set plugins.dir to their folder"));
    }
    for id in needed {
        if installed.iter().all(|it| it.id != *id || it.is_disabled) {
            findings.push(Finding::problem(
                CHECK,
                format!("{id} is in plugins.refuse_on_failure and does not run"),
                "install it, or take it out of the list",
            ));
        }
    }
    findings
}

/// `v2`, `v1` or `none`.
fn control_groups() -> &'static str {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        "v2"
    } else if Path::new("/sys/fs/cgroup/memory").exists() {
        "v1"
    } else {
        "none"
    }
}

fn sandbox(features: KernelFeatures, policy: SandboxPolicy, control_groups: &str) -> Finding {
    let KernelFeatures { landlock, seccomp } = features;
    let version = landlock.map_or("none".to_owned(), |it| format!("version {it}"));
    let yes = if seccomp { "yes" } else { "no" };
    let text = format!("Landlock {version}, seccomp {yes}, control groups {control_groups}");
    let is_whole = seccomp && landlock.is_some_and(|it| it >= WHOLE_LANDLOCK);
    match policy {
        _ if is_whole => Finding::ok(SANDBOX, text),
        SandboxPolicy::Required => Finding::problem(
            SANDBOX,
            format!("{text}: plugins.sandbox is \"required\", so no plugin runs"),
            "use Linux 6.2 or newer with landlock in its lsm= list, or \"best-effort\"",
        ),
        SandboxPolicy::BestEffort => Finding::note(
            SANDBOX,
            format!("{text}: plugins are not locked in fully"),
            "use Linux 6.2 or newer with landlock in its lsm= list",
        ),
    }
}

#[cfg(test)]
mod tests {
    use bedside_plugin_host::{KernelFeatures, SandboxPolicy};

    use super::{super::finding::Verdict, Installed, judge, sandbox};

    #[test]
    fn plugins_that_cannot_run_are_named() {
        let plugin = |problem: Option<&str>, is_disabled| Installed {
            id: "org.heart".to_owned(),
            version: "1.0.0".to_owned(),
            is_disabled,
            problem: problem.map(str::to_owned),
        };
        let check = |installed: &[Installed], needed: &[&str], expect: Verdict, words: &str| {
            let needed: Vec<_> = needed.iter().map(|it| (*it).to_owned()).collect();
            let found = judge("/plugins", installed, &needed);
            let last = found.last().unwrap();
            assert_eq!(last.verdict, expect, "{found:?}");
            assert!(last.text.contains(words), "{found:?}");
        };
        check(
            &[plugin(None, false)],
            &["org.heart"],
            Verdict::Ok,
            "org.heart 1.0.0",
        );
        check(&[], &[], Verdict::Note, "none in /plugins");
        check(&[plugin(Some("bad"), false)], &[], Verdict::Problem, "bad");
        check(&[plugin(Some("bad"), true)], &[], Verdict::Ok, "switched off");
        check(
            &[plugin(None, true)],
            &["org.heart"],
            Verdict::Problem,
            "refuse_on_failure",
        );
        check(
            &[plugin(None, false)],
            &["org.lung"],
            Verdict::Problem,
            "org.lung",
        );
    }

    #[test]
    fn a_kernel_without_walls_is_told() {
        let check = |landlock, seccomp, policy, expect: Verdict| {
            let found = sandbox(KernelFeatures { landlock, seccomp }, policy, "v2");
            assert_eq!(found.verdict, expect, "{found:?}");
        };
        check(Some(3), true, SandboxPolicy::Required, Verdict::Ok);
        check(Some(7), true, SandboxPolicy::BestEffort, Verdict::Ok);
        check(Some(2), true, SandboxPolicy::BestEffort, Verdict::Note);
        check(None, true, SandboxPolicy::Required, Verdict::Problem);
        check(Some(7), false, SandboxPolicy::Required, Verdict::Problem);
    }
}
