//! The command line; its help texts are the manual.

use std::path::PathBuf;

use bedside_contract::Language;
use bedside_model::{ModelSource, quantize::Quantization};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// A private medical chat bot that a hospital runs on its own machines.
#[derive(Debug, Parser)]
#[command(name = "bedside", version)]
pub(crate) struct Cli {
    /// The configuration; without it everything has its default.
    #[arg(long, global = true, env = "BEDSIDE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start all that the config enables (the default).
    Run,
    /// Talk to the bot in this terminal.
    Chat,
    /// Ask one question through the whole pipeline; nothing is kept.
    Ask(AskArguments),
    /// Say how urgent something is and which department it belongs to, without the model.
    Triage(TriageArguments),
    /// Train the second reader of triage, or see why it thinks as it does.
    #[command(subcommand)]
    SecondReader(SecondReaderCommand),
    /// Fetch and list models.
    #[command(subcommand)]
    Model(ModelCommand),
    /// See and convert adapters, which tune the model for a department.
    #[command(subcommand)]
    Adapter(AdapterCommand),
    /// Search, check and import into the knowledge base; the running bot's, if there is one.
    Knowledge(PluginArguments),
    /// See the installed plugins; as the running bot has them, if there is one.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Check the configuration without starting anything.
    CheckConfig,
    /// Look for what keeps the bot from running well: configuration, secrets, disk, store, ports, model, plugins, machine. Exit code 1 if something has to be done.
    Doctor(DoctorArguments),
    #[command(flatten)]
    Control(ControlCommand),
}

// No doc comment: it would become the help of the whole program.
#[derive(Debug, Subcommand)]
pub(crate) enum ControlCommand {
    /// Tell how the running bot is; exit code 0 all is well, 1 something is wrong, 3 no bot runs.
    Status {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Have the running bot read its configuration anew; a wrong one changes nothing.
    Reload {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// The kill switch: `on` has the running bot give emergency notices only, until `off`.
    NoticesOnly {
        state: NoticesOnlyState,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NoticesOnlyState {
    /// No answers: emergency notices, and one sentence for every other question.
    On,
    /// Answers again.
    Off,
    /// Only tell how it stands.
    Show,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Connect to each platform and server that the configuration names, too.
    #[arg(long)]
    pub online: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AskArguments {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// `en` or `zh`; told by the text otherwise.
    #[arg(long, value_name = "L", value_parser = language)]
    pub lang: Option<Language>,
    /// The department that is asked.
    #[arg(long, value_name = "D")]
    pub department: Option<String>,
    /// The question. `-`, or nothing, reads it from standard input, so that it stands neither in the list of processes
    /// nor in the shell's history.
    pub text: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TriageArguments {
    /// Read one JSON object a line from standard input, {"id","text","age"?,"sex"?,"departments"?}, and write one
    /// a line.
    #[arg(long)]
    pub jsonl: bool,
    /// The words to assess; standard input otherwise.
    pub text: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecondReaderCommand {
    /// Train it with the messages that Bedside brings and the hospital's own: minutes on two cores.
    Train {
        /// The file to write; bot.second_reader in the configuration names it.
        #[arg(long)]
        out: PathBuf,
        /// The hospital's own messages, reviewed: JSON lines with "lang", "style", "disposition", "departments",
        /// "text" and "why", a file for each author and time. None: those that Bedside brings alone.
        files: Vec<PathBuf>,
    },
    /// Say what it makes of a message: the probability of an emergency, the words that weigh most, and the nearest
    /// written examples.
    Explain {
        #[arg(long)]
        json: bool,
        /// The message; standard input otherwise.
        text: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdapterCommand {
    /// Tell what an adapter is, and whether it fits a base.
    Inspect {
        /// A folder of PEFT, DoctorGLM or ChatGLM's P-tuning v2, or a GGUF file.
        path: PathBuf,
        /// The GGUF file of the model that it shall be used with.
        #[arg(long, value_name = "FILE")]
        base: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write an adapter in another format.
    Convert {
        /// A folder or file of any format that is known.
        source: PathBuf,
        /// A name that ends in .gguf for llama.cpp and Bedside; else a folder for PEFT, of P-tuning v2 for
        /// ChatGLM's own code.
        target: PathBuf,
        /// The GGUF file of its base; the configured model otherwise.
        #[arg(long, value_name = "FILE")]
        base: Option<PathBuf>,
    },
    /// List the configured adapters, and whether each fits the configured model.
    List {
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Fetch what the configuration needs: the chat model and the embedding model; or one chat model, SOURCE: `default`, a file, `hf:OWNER/REPO/FILE.gguf` or an https address. Its sha256 is said on standard error.
    Pull {
        #[arg(value_parser = model_source)]
        source: Option<ModelSource>,
    },
    /// List the model files in the data directory.
    List {
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Read every byte of model files and compare it with the checksum that was given or noted when they were fetched; exit code 1 if one is wrong.
    Verify {
        /// As for `pull`; all files in the models folder and those that the configuration names otherwise.
        #[arg(value_parser = model_source)]
        sources: Vec<ModelSource>,
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Tell what a model file is: family, sizes, memory, tokenizer, chat template, checksum.
    Inspect {
        /// A GGUF file; the configured model otherwise.
        file: Option<PathBuf>,
        /// Memory for this many tokens instead of all that the model was trained for.
        #[arg(long, value_name = "TOKENS", value_parser = count)]
        context: Option<usize>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write the GGUF file of a Hugging Face folder or a PyTorch checkpoint, as one that was fine-tuned.
    Convert(ConvertArguments),
    /// Write a model with its weights in fewer bits; say what that costs on a text.
    Quantize(QuantizeArguments),
    /// Measure how top-p and temperature change answers: how varied, repetitive and long they are; with a picture.
    SampleGrid(SampleGridArguments),
    /// Measure how fast a model is on this machine: tokens/s of prompts and answers, memory, a prompt read again.
    Bench(BenchArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArguments {
    /// A folder with config.json and safetensors or PyTorch files; or a file of weights alone.
    pub source: PathBuf,
    /// Where to write to.
    pub target: PathBuf,
    /// A GGUF file of the same base, whose tokenizer and chat template are taken instead of the folder's own.
    #[arg(long, value_name = "FILE")]
    pub tokenizer_from: Option<PathBuf>,
    /// The kind of the weights, e.g. F16, Q8_0, Q4_K_M; as they are otherwise.
    #[arg(long, value_name = "KIND")]
    pub to: Option<Quantization>,
    /// The folder with config.json, if it is not beside the weights.
    #[arg(long, value_name = "FOLDER")]
    pub config_from: Option<PathBuf>,
    /// ChatGLM-6B only: count places as its first code, of March 2023, did.
    #[arg(long)]
    pub legacy_positions: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QuantizeArguments {
    /// A GGUF file, best in F16, BF16 or F32.
    pub source: PathBuf,
    /// Where to write to.
    pub target: PathBuf,
    /// e.g. Q8_0 (nearly exact), Q4_K_M (a third of its size, the usual choice), Q4_1 or Q4_0 (fastest).
    #[arg(long, value_name = "KIND")]
    pub to: Quantization,
    /// A text on which both are measured: perplexity before and after.
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Tokens of the text that are read at a time.
    #[arg(long, default_value_t = 512, value_parser = count)]
    pub window: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// A GGUF file; the configured model otherwise.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Tokens of each prompt; several lengths with commas between.
    #[arg(long, value_delimiter = ',', default_value = "256", value_parser = count)]
    pub prompt: Vec<usize>,
    /// Tokens generated behind each.
    #[arg(long, default_value_t = 64)]
    pub generate: usize,
    /// One per physical core otherwise.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Sequences at the same time; several numbers with commas between.
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = count)]
    pub batch: Vec<usize>,
    /// Random LoRA adapters dealt among them; several numbers with commas between.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub adapters: Vec<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct SampleGridArguments {
    /// A GGUF file; the configured model otherwise.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// One of the adapters under [model.adapters].
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Questions, one a line; eight of patients otherwise, in the model's language.
    #[arg(long, value_name = "FILE")]
    pub questions: Option<PathBuf>,
    /// The values of top-p, with commas between.
    #[arg(long, value_delimiter = ',', default_value = "0.5,0.7,0.9,1", value_parser = share)]
    pub top_p: Vec<f32>,
    /// The values of the temperature; 0 takes the most likely word always.
    #[arg(long, value_delimiter = ',', default_value = "0.2,0.7,0.95,1.2", value_parser = temperature)]
    pub temperature: Vec<f32>,
    /// Answers to each question.
    #[arg(long, default_value_t = 2, value_parser = count)]
    pub samples: usize,
    /// Of each answer at most.
    #[arg(long, default_value_t = 160, value_parser = count)]
    pub max_tokens: usize,
    /// The same seed gives the same figures.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Where the picture is written to (SVG); none otherwise.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

fn share(word: &str) -> Result<f32, String> {
    let number = word.parse().ok().filter(|it| *it > 0.0 && *it <= 1.0);
    number.ok_or_else(|| "a number above 0 and up to 1 is needed".to_owned())
}

fn temperature(word: &str) -> Result<f32, String> {
    let number = word.parse().ok().filter(|it| (0.0..=5.0).contains(it));
    number.ok_or_else(|| "a number from 0 to 5 is needed".to_owned())
}

fn count(word: &str) -> Result<usize, String> {
    match word.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 on is needed".to_owned()),
        Ok(count) => Ok(count),
    }
}

/// Words that are handed to the plugin as they are.
#[derive(Debug, Args)]
pub(crate) struct PluginArguments {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// e.g. `search TEXT`, `stats`, `lint`, `import FOLDER`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub words: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// One line a plugin: id, version, state, where it runs, sandbox.
    List {
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
}

fn language(word: &str) -> Result<Language, &'static str> {
    Language::parse(word).ok_or("use `en` or `zh`")
}

fn model_source(word: &str) -> Result<ModelSource, String> {
    word.parse()
        .map_err(|error: <ModelSource as std::str::FromStr>::Err| error.to_string())
}
