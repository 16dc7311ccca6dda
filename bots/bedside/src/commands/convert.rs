//! `bedside model convert`.

use std::process::ExitCode;

use bedside_model::convert::{Conversion, convert};
use indicatif::HumanBytes;

use crate::{cli::ConvertArguments, commands::model::Bar, output::say};

pub(crate) fn run(arguments: ConvertArguments) -> anyhow::Result<ExitCode> {
    let ConvertArguments {
        source,
        target,
        tokenizer_from,
        to,
        config_from,
        legacy_positions,
    } = arguments;
    let conversion = Conversion {
        quantization: to,
        config_from,
        tokenizer_from,
        legacy_positions,
    };
    let bar = Bar::default();
    let done = convert(&source, &target, &conversion, &bar)?;
    bar.finish();
    say(&format!(
        "{}: {}, {} tensors, {} of weights",
        target.display(),
        done.architecture,
        done.tensors,
        HumanBytes(done.bytes),
    ));
    done.notes.iter().for_each(|it| say(&format!("note: {it}")));
    Ok(ExitCode::SUCCESS)
}
