use serde::de::DeserializeOwned;

use crate::{
    Error, Host,
    abi::Hook,
    msg::{
        Answer, AnswerVerdict, Command, CommandReply, Description, Forget, Health, Job, JobResult, Message,
        PromptAdditions, PromptRequest, Verdict,
    },
};

/// A plugin. Write [`Plugin::new`] and the hooks that your manifest lists; leave the others out.
///
/// A hook that is listed but not written is reported to the operator and not called again.
pub trait Plugin: Sized + 'static {
    /// The plugin's settings, from `[plugins.settings."<id>"]` of the bot's config; an empty table if there
    /// is none. Put `#[serde(deny_unknown_fields)]` on it, so that a typo is told.
    type Config: DeserializeOwned;

    /// Makes the plugin, before its first hook and again after a panic or crash.
    ///
    /// # Errors
    /// The bot then runs without this plugin, tries again later and shows the operator your words.
    fn new(host: Host, config: Self::Config) -> Result<Self, Error>;

    /// Reads a patient's message before anything else is done with it (300 ms).
    ///
    /// ```
    /// # use bedside_plugin_api::{Error, msg::{Message, Verdict}};
    /// fn on_message(message: &Message) -> Result<Verdict, Error> {
    ///     if message.text.contains("complaint") || message.text.contains("投诉") {
    ///         return Ok(Verdict::Handoff("wants to complain".into()));
    ///     }
    ///     Ok(Verdict::Continue)
    /// }
    /// ```
    ///
    /// # Errors
    /// Skipped, or with `on_failure = "refuse"` the bot does not answer this message.
    fn on_message(&mut self, message: &Message) -> Result<Verdict, Error> {
        let _ = message;
        not_implemented(Hook::OnMessage)
    }

    /// Adds instructions and passages to a prompt (500 ms).
    ///
    /// ```
    /// # use bedside_plugin_api::{Error, msg::{PromptAdditions, PromptRequest}};
    /// fn augment_prompt(request: &PromptRequest) -> Result<PromptAdditions, Error> {
    ///     let mut additions = PromptAdditions::default();
    ///     if request.message.missing.iter().any(|it| it == "age") {
    ///         additions.instructions.push("Ask for the patient's age.".into());
    ///     }
    ///     Ok(additions)
    /// }
    /// ```
    ///
    /// # Errors
    /// The prompt goes on without this plugin's part.
    fn augment_prompt(&mut self, request: &PromptRequest) -> Result<PromptAdditions, Error> {
        let _ = request;
        not_implemented(Hook::AugmentPrompt)
    }

    /// Names the adapter to answer with; `None` leaves the choice to others (100 ms).
    ///
    /// ```
    /// # use bedside_plugin_api::{Error, msg::Message};
    /// fn choose_adapter(message: &Message) -> Result<Option<String>, Error> {
    ///     let heart = message.departments.iter().any(|it| it == "cardiology");
    ///     Ok(heart.then(|| "cardiology".to_owned()))
    /// }
    /// ```
    ///
    /// # Errors
    /// The base model answers.
    fn choose_adapter(&mut self, message: &Message) -> Result<Option<String>, Error> {
        let _ = message;
        not_implemented(Hook::ChooseAdapter)
    }

    /// Reads a finished answer before it leaves (300 ms).
    /// With `may_withhold = true` in the manifest nothing is shown to the patient before this hook has spoken;
    /// [`AnswerVerdict::Replace`] needs it, [`AnswerVerdict::Withhold`] should have it.
    ///
    /// ```
    /// # use bedside_plugin_api::{Error, msg::{Answer, AnswerVerdict}};
    /// fn on_answer(answer: &Answer) -> Result<AnswerVerdict, Error> {
    ///     if answer.text.contains("mg") {
    ///         return Ok(AnswerVerdict::Append("Ask your pharmacist about doses.".into()));
    ///     }
    ///     Ok(AnswerVerdict::Pass)
    /// }
    /// ```
    ///
    /// # Errors
    /// The answer passes, or with `on_failure = "refuse"` is withheld.
    fn on_answer(&mut self, answer: &Answer) -> Result<AnswerVerdict, Error> {
        let _ = answer;
        not_implemented(Hook::OnAnswer)
    }

    /// Says what the plugin offers. What is said must agree with the manifest; nothing said (the default)
    /// means "what the manifest says".
    ///
    /// ```
    /// # use bedside_plugin_api::{Error, msg::Description};
    /// fn describe() -> Result<Description, Error> {
    ///     Ok(Description { commands: vec!["ecg".into()], ..Description::default() })
    /// }
    /// ```
    ///
    /// # Errors
    /// The plugin is not started.
    fn describe(&mut self) -> Result<Description, Error> {
        Ok(Description::default())
    }

    /// Carries out a command of the manifest's `[[commands]]` (10 s).
    ///
    /// ```
    /// # use bedside_plugin_api::{Error, msg::{Command, CommandReply}};
    /// fn command(command: &Command) -> Result<CommandReply, Error> {
    ///     match command.name.as_str() {
    ///         "ecg" => Ok(CommandReply { text: "An ECG shows …".into(), failed: false }),
    ///         other => Err(Error::new(format!("no command {other}"))),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// The person who gave the command is told.
    fn command(&mut self, command: &Command) -> Result<CommandReply, Error> {
        let _ = command;
        not_implemented(Hook::Command)
    }

    /// Does a long piece of work, in a process of its own. Call [`Host::job_progress`] often: its answer
    /// says when to stop.
    ///
    /// ```
    /// # use bedside_plugin_api::{Error, Host, msg::{Job, JobControl, JobResult}};
    /// fn run_job(host: &Host, job: &Job) -> Result<JobResult, Error> {
    ///     for step in 0..10 {
    ///         if host.job_progress(&job.id, step as f32 / 10.0, "indexing")? == JobControl::Cancel {
    ///             return Ok(JobResult { ok: false, summary: "cancelled".into(), ..JobResult::default() });
    ///         }
    ///     }
    ///     Ok(JobResult { ok: true, summary: "10 files indexed".into(), ..JobResult::default() })
    /// }
    /// ```
    ///
    /// # Errors
    /// The job is marked as failed.
    fn run_job(&mut self, job: &Job) -> Result<JobResult, Error> {
        let _ = job;
        not_implemented(Hook::RunJob)
    }

    /// Cleans up after a job whose process was ended before it came to its own end.
    ///
    /// ```
    /// # use bedside_plugin_api::{Error, Host};
    /// fn cancel_job(host: &Host, id: &str) -> Result<(), Error> {
    ///     host.storage_delete(&format!("job/{id}"))
    /// }
    /// ```
    ///
    /// # Errors
    /// Shown to the operator.
    fn cancel_job(&mut self, id: &str) -> Result<(), Error> {
        let _ = id;
        not_implemented(Hook::CancelJob)
    }

    /// Deletes what the plugin keeps of a conversation whose patient had it deleted: in memory, in files, in values
    /// under other keys (2 s). The bot itself deletes entries of [`Host::storage_put`] whose key holds the
    /// conversation's id; they may be gone already. `Ok` is the acknowledgement; without it the bot asks again after
    /// the plugin's next start, so the same conversation may come twice.
    ///
    /// ```
    /// # use bedside_plugin_api::{Error, Host, msg::Forget};
    /// fn forget(host: &Host, forget: &Forget) -> Result<(), Error> {
    ///     let mut waiting: Vec<String> = host.storage_get("waiting for a call")?.unwrap_or_default();
    ///     waiting.retain(|it| *it != forget.conversation);
    ///     host.storage_put("waiting for a call", &waiting)
    /// }
    /// ```
    ///
    /// # Errors
    /// Asked again after the plugin's next start; the patient is told that something is still to be deleted.
    fn forget(&mut self, forget: &Forget) -> Result<(), Error> {
        let _ = forget;
        not_implemented(Hook::Forget)
    }

    /// Whether the plugin can do its work; asked after the start and now and then (1 s).
    ///
    /// ```
    /// # use bedside_plugin_api::{Error, msg::Health};
    /// fn health(passages: usize) -> Result<Health, Error> {
    ///     Ok(Health { ok: passages > 0, reason: format!("{passages} passages") })
    /// }
    /// ```
    ///
    /// # Errors
    /// The plugin is restarted.
    fn health(&mut self) -> Result<Health, Error> {
        Ok(Health {
            ok: true,
            reason: String::new(),
        })
    }
}

fn not_implemented<T>(hook: Hook) -> Result<T, Error> {
    Err(Error::NotImplemented { hook: hook.name() })
}
