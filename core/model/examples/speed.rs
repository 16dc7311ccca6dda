//! Fetches a model and measures it: `speed [SOURCE] [MODELS_DIR] [PROMPT] [GENERATE]`.
#![expect(clippy::print_stdout, reason = "its purpose")]

use std::{env, error::Error, path::PathBuf, time::Instant};

use bedside_model::{Model, ModelSource, NoProgress, bench::measure, physical_cores, pull};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |number: usize, default: &str| {
        arguments
            .get(number)
            .cloned()
            .unwrap_or_else(|| default.to_owned())
    };
    let source: ModelSource = argument(0, "default").parse()?;
    let start = Instant::now();
    let path = pull(&source, &PathBuf::from(argument(1, "models")), &NoProgress)?;
    println!("{} after {:.2?}", path.display(), start.elapsed());
    let model = Model::load(&path, &NoProgress)?;
    println!(
        "{} loaded in {:.2?}, {} MiB",
        model.facts.name,
        model.facts.load_time,
        model.facts.weight_bytes >> 20
    );
    let (prompt, generate) = (argument(2, "256").parse()?, argument(3, "64").parse()?);
    for threads in 1..=physical_cores() {
        for measurement in measure(&model, prompt, generate, threads)? {
            println!("{measurement:?}");
        }
    }
    Ok(())
}
