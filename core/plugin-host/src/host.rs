use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bedside_contract::{AuditLog, Clock, Embedder, Generator, PluginStatus, PluginStorage};
use bedside_plugin_api::{
    abi::{Hook, Permission},
    msg::{Command, CommandReply, Contacts, Job, Setup},
};
use bedside_plugin_runner::{Limits, RunnerSetup, loader};
use serde::Serialize;
use serde_json::Value;
use tokio::{runtime::Handle, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    calls::{Backing, Services},
    child::Spawner,
    config::{PluginsConfig, SandboxPolicy},
    discovery::{self, Package},
    forget::{Forgetting, catch_up},
    handle::Plugin,
    job::{self, JobHandle},
    manifest::{HookRule, Manifest, OnFailure, nearest},
    opaque::OpaqueIds,
    problem::cut,
    session::{Launch, Place},
    supervisor::supervise,
};

/// All installed plugins: the bot's [`bedside_contract::Plugins`].
///
/// Dropping it ends the plugins at once; [`PluginHost::shutdown`] lets them end well.
pub struct PluginHost {
    /// Those that run, by id.
    plugins: BTreeMap<String, Arc<Plugin>>,
    /// How each would be started anew, for jobs.
    launches: BTreeMap<String, Launch>,
    /// Those that do not run: disabled, or with a manifest that cannot be used.
    idle: Vec<PluginStatus>,
    order: BTreeMap<Hook, Vec<(Arc<Plugin>, HookRule)>>,
    pub(crate) ids: OpaqueIds,
    pub(crate) forgetting: Forgetting,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// What plugins run on.
pub struct PluginHostSetup {
    pub config: PluginsConfig,
    /// Where to look for plugins if the config names no folder; those that do not exist are passed over.
    pub search_dirs: Vec<PathBuf>,
    /// The program `bedside-plugin-runner`.
    pub runner: PathBuf,
    /// Each plugin may write to `<data_dir>/<id>`; with `None` plugins keep no files.
    pub data_dir: Option<PathBuf>,
    /// The hospital's numbers, told to every plugin.
    pub contacts: Contacts,
    pub storage: Arc<dyn PluginStorage>,
    pub audit: Arc<dyn AuditLog>,
    pub clock: Arc<dyn Clock>,
    pub generator: Option<Arc<dyn Generator>>,
    pub embedder: Option<Arc<dyn Embedder>>,
}

/// All that is known of one plugin.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    pub status: PluginStatus,
    pub folder: PathBuf,
    pub manifest: Manifest,
    /// Why its sandbox is not full.
    pub sandbox_missing: Vec<String>,
    /// From the library's note; `Err` in words if it cannot be read.
    pub library: Result<LibraryNote, String>,
}

/// For whom a library was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LibraryNote {
    pub abi: String,
    pub target: String,
    pub rustc: String,
}

impl PluginHost {
    /// Finds the plugins and starts them in the background, all at once; returns without waiting for them.
    /// Must be called on a tokio runtime.
    #[must_use]
    pub fn start(setup: PluginHostSetup) -> Arc<Self> {
        let stop = CancellationToken::new();
        let mut host = Self {
            plugins: BTreeMap::new(),
            launches: BTreeMap::new(),
            idle: Vec::new(),
            order: BTreeMap::new(),
            ids: OpaqueIds::new(Arc::clone(&setup.storage)),
            forgetting: Forgetting::new(Arc::clone(&setup.storage), setup.generator.clone()),
            tasks: TaskTracker::new(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        };
        if setup.config.enabled {
            let backing = Backing::new(&setup);
            match Spawner::start(Handle::current()) {
                Ok(spawner) => host.start_all(&setup, &backing, &spawner),
                Err(error) => {
                    tracing::error!(%error, "no thread for plugins could be started: none will run")
                }
            }
        }
        Arc::new(host)
    }

    /// Ends all plugins: calls in hand are finished, then each may clean up.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(Duration::from_secs(15), self.tasks.wait()).await.is_err() {
            tracing::warn!("some plugins did not end in time and are killed");
        }
    }

    /// One row a plugin, by id.
    #[must_use]
    pub fn list(&self) -> Vec<PluginStatus> {
        let mut rows: Vec<_> = self
            .plugins
            .values()
            .map(|it| it.status())
            .chain(self.idle.iter().cloned())
            .collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows
    }

    /// All about one enabled plugin.
    ///
    /// # Errors
    /// Words, with the nearest id, if there is none.
    pub fn inspect(&self, id: &str) -> Result<Inspection, String> {
        let plugin = self.plugin(id)?;
        let library = loader::read_note(&plugin.folder.join(&plugin.manifest.library));
        let library = library
            .map_err(|error| error.to_string())
            .map(|note| LibraryNote {
                abi: format!("{}.{}", note.abi_major, note.abi_minor),
                target: note.target,
                rustc: note.rustc,
            });
        Ok(Inspection {
            status: plugin.status(),
            folder: plugin.folder.clone(),
            manifest: (*plugin.manifest).clone(),
            sandbox_missing: plugin.sandbox().map_or_else(Vec::new, |it| it.missing),
            library,
        })
    }

    /// Runs a plugin's command for somebody at the command line.
    ///
    /// # Errors
    /// Words for that person.
    pub async fn run_command(
        &self,
        plugin: &str,
        name: &str,
        arguments: &str,
        json: bool,
    ) -> Result<CommandReply, String> {
        let plugin = self.plugin(plugin)?;
        let commands = &plugin.manifest.commands;
        if !commands.iter().any(|it| it.name == name) {
            let near = nearest(name, commands.iter().map(|it| it.name.as_str()));
            return Err(format!("{} has no command {name:?}{near}", plugin.id()));
        }
        let command = Command {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            json,
            ..Command::default()
        };
        let reply = plugin.ask(Hook::Command, &command).await;
        reply.map_err(|problem| format!("{}: {problem}", plugin.id()))
    }

    /// Starts a job in a process of its own; the plugin itself goes on answering hooks.
    ///
    /// # Errors
    /// Words: no such plugin, or its manifest does not say `jobs = true`.
    pub fn run_job(&self, plugin: &str, job: Job) -> Result<JobHandle, String> {
        let plugin = self.plugin(plugin)?.clone();
        if !plugin.manifest.permissions.jobs {
            return Err(format!(
                "{}: [permissions] of its plugin.toml does not say jobs = true",
                plugin.id()
            ));
        }
        let launch = self
            .launches
            .get(plugin.id())
            .ok_or("the plugin is not running")?;
        let launch = Launch {
            place: Place::Child,
            ..launch.clone()
        };
        Ok(job::start(
            plugin,
            launch,
            job,
            &self.tasks,
            self.stop.child_token(),
        ))
    }

    /// The plugins that have this hook, in their order. One whose library was found to lack it stays in if
    /// nothing may be answered without it.
    pub(crate) fn order(&self, hook: Hook) -> impl Iterator<Item = &(Arc<Plugin>, HookRule)> {
        let listed = self.order.get(&hook).into_iter().flatten();
        listed.filter(move |(plugin, rule)| rule.on_failure == OnFailure::Refuse || !plugin.lacks(hook))
    }

    pub(crate) fn plugins(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.plugins.values()
    }

    fn plugin(&self, id: &str) -> Result<&Arc<Plugin>, String> {
        self.plugins
            .get(id)
            .ok_or_else(|| match self.idle.iter().find(|it| it.id == id) {
                Some(idle) => format!(
                    "{id} is not running: {}",
                    idle.last_problem.as_deref().unwrap_or(&idle.state)
                ),
                None => format!(
                    "there is no plugin {id:?}{}",
                    nearest(id, self.plugins.keys().map(String::as_str))
                ),
            })
    }

    fn start_all(&mut self, setup: &PluginHostSetup, backing: &Backing, spawner: &Spawner) {
        let dirs = setup
            .config
            .dir
            .as_ref()
            .map_or_else(|| setup.search_dirs.clone(), |it| vec![it.clone()]);
        if let Some(dir) = setup.config.dir.as_ref().filter(|it| !it.is_dir()) {
            tracing::error!("plugins.dir = {dir:?} is no folder: no plugin will run");
        }
        let packages = discovery::find(&dirs).unwrap_or_else(|error| {
            tracing::error!(%error, "plugins.dir cannot be read: no plugin will run");
            Vec::new()
        });
        for (key, id) in setup.config.named_plugins() {
            if !packages.iter().any(|it| it.id == *id) {
                let near = nearest(id, packages.iter().map(|it| it.id.as_str()));
                tracing::warn!("{key} names {id:?}, which is not installed{near}");
            }
        }
        for package in packages {
            self.start_one(package, setup, backing, spawner);
        }
        for hook in Hook::ALL {
            let with_rule = |plugin: &Arc<Plugin>| Some((plugin.clone(), plugin.rule(*hook)?));
            let mut order: Vec<_> = self.plugins.values().filter_map(with_rule).collect();
            // Stable: plugins of one priority stay in the order of their ids.
            order.sort_by_key(|(_, rule)| rule.priority);
            self.order.insert(*hook, order);
        }
    }

    fn start_one(&mut self, package: Package, setup: &PluginHostSetup, backing: &Backing, spawner: &Spawner) {
        let config = &setup.config;
        let Package {
            id,
            version,
            folder,
            manifest,
        } = package;
        // One whose manifest cannot be read may have the hook.
        if manifest
            .as_ref()
            .map_or(true, |it| it.hooks.contains_key(&Hook::Forget))
        {
            self.forgetting.add_listening(&id);
        }
        let manifest = match manifest {
            _ if config.disabled.contains(&id) => {
                return self.idle.push(idle_status(&id, &version, "disabled", None));
            }
            Ok(manifest) => Arc::new(manifest),
            Err(problem) => {
                tracing::error!(plugin = id, %problem, "plugin cannot be used");
                return self
                    .idle
                    .push(idle_status(&id, &version, "failed", Some(problem.to_string())));
            }
        };
        let settings = config
            .settings
            .get(&id)
            .cloned()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        // A typo must not grant what was to be taken away.
        if let Err(problem) = check_denied(config.deny.get(&id)) {
            tracing::error!(plugin = id, %problem, "plugin does not run");
            return self
                .idle
                .push(idle_status(&id, &version, "failed", Some(problem)));
        }
        let denied = config.deny.get(&id).map_or(&[][..], Vec::as_slice);
        let services = Services::new(
            &id,
            &manifest.permissions,
            denied,
            settings.clone(),
            backing.clone(),
        );
        services.prepare_embedding();
        let place = if config.trusted.contains(&id) {
            Place::InProcess
        } else {
            Place::Child
        };
        let refuse = config.refuse_on_failure.contains(&id);
        let folder = folder.canonicalize().unwrap_or(folder);
        let (plugin, mailbox) = Plugin::new(
            manifest.clone(),
            folder.clone(),
            place,
            refuse,
            Arc::new(services),
        );
        let data_dir = setup.data_dir.as_deref().and_then(|it| make_data_dir(it, &id));
        let launch = Launch {
            place,
            runner: setup.runner.clone(),
            spawner: spawner.clone(),
            setup: RunnerSetup {
                library: folder.join(&manifest.library),
                limits: Limits {
                    memory: manifest.limits.memory.0,
                    open_files: 256,
                    file_size: 1 << 30,
                },
                sandbox_required: config.sandbox == SandboxPolicy::Required,
                setup: Setup {
                    id: id.clone(),
                    package_dir: folder.to_string_lossy().into_owned(),
                    data_dir: data_dir.map(|it| it.to_string_lossy().into_owned()),
                    config: settings,
                    contacts: setup.contacts.clone(),
                },
            },
            manifest,
        };
        self.launches.insert(id.clone(), launch.clone());
        self.tasks
            .spawn(supervise(plugin.clone(), launch, mailbox, self.stop.clone()));
        let storage = Arc::clone(&setup.storage);
        self.tasks
            .spawn(catch_up(plugin.clone(), storage, self.stop.clone()));
        self.plugins.insert(id, plugin);
    }
}

fn check_denied(denied: Option<&Vec<String>>) -> Result<(), String> {
    let keys = || Permission::ALL.iter().map(|it| it.key());
    match denied
        .into_iter()
        .flatten()
        .find(|it| !keys().any(|key| key == it.as_str()))
    {
        None => Ok(()),
        Some(unknown) => Err(format!(
            "plugins.deny: there is no permission {unknown:?}{}",
            nearest(unknown, keys())
        )),
    }
}

fn idle_status(id: &str, version: &str, state: &str, problem: Option<String>) -> PluginStatus {
    PluginStatus {
        id: id.to_owned(),
        version: version.to_owned(),
        state: state.to_owned(),
        place: "child process".to_owned(),
        sandbox: "none".to_owned(),
        restarts: 0,
        last_problem: problem.map(|it| cut(&it, 1000)),
    }
}

fn make_data_dir(base: &Path, id: &str) -> Option<PathBuf> {
    let folder = base.join(id);
    match fs::create_dir_all(&folder).and_then(|()| folder.canonicalize()) {
        Ok(folder) => Some(folder),
        Err(error) => {
            let path = folder.display();
            tracing::warn!(plugin = id, %error, "{path} cannot be made: the plugin keeps no files");
            None
        }
    }
}
