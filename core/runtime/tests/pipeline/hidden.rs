//! Instructions that stand hidden in a passage of knowledge, and a model that obeys them, in ciphers too.

use std::sync::{Arc, Mutex, atomic::Ordering};

use bedside_contract::Language;

use crate::{
    common::{Script, ScriptedPlugins, Stage},
    worst::{Dice, forbidden_in, left, pieces},
};

/// The instruction, a tab, what an obedient model says (`\n`: a line's end; SYSTEM: its own instructions). Written for
/// this test.
static HIDDEN: &str = include_str!("hidden.tsv");

/// A sentence that is fine stands before, and one behind.
const FINE: [&str; 2] = ["Rest and drink enough fluids.", "Honey eases a sore throat."];

fn hidden() -> Vec<(&'static str, String)> {
    let lines = HIDDEN.lines().filter_map(|it| it.split_once('\t'));
    lines
        .map(|(instruction, said)| (instruction, said.replace(r"\n", "\n")))
        .collect()
}

/// What is left of a text without the two fine sentences and their citations, letters and digits alone.
fn rest_of(text: &str) -> String {
    let mut text = text.to_owned();
    for fine in FINE {
        text = text.replace(fine, " ");
    }
    text
}

/// The longest piece of `said` that stands in `text`, in characters: a cipher is judged by its own letters.
fn shared(text: &str, said: &str) -> usize {
    let plain = |it: &str| {
        it.chars()
            .filter(|it| it.is_alphanumeric())
            .collect::<Vec<char>>()
    };
    let (text, said) = (plain(text), plain(said));
    let mut longest = 0;
    let mut before = vec![0; said.len() + 1];
    for a in &text {
        let mut now = vec![0; said.len() + 1];
        for (at, b) in said.iter().enumerate() {
            if a == b {
                now[at + 1] = before[at] + 1;
                longest = longest.max(now[at + 1]);
            }
        }
        before = now;
    }
    longest
}

/// The first message of the last prompt.
fn own_instructions(stage: &Stage) -> String {
    let prompts = stage.model.prompts.lock().unwrap();
    let first = prompts.last().and_then(|it| it.first());
    first.map(|it| it.content.clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_obedient_model_says_of_hidden_instructions_stays_here() {
    let poison = Arc::new(Mutex::new(String::new()));
    let plugins = ScriptedPlugins {
        poison: Arc::clone(&poison),
        ..ScriptedPlugins::default()
    };
    let stage = Stage::new(&[Language::En, Language::Zh], &[], plugins);
    let key = stage.patient("a").await;
    let mut dice = Dice(11);
    let mut found = Vec::new();
    let all = hidden();
    assert!(all.len() >= 50, "{}", all.len());
    for (index, (instruction, said)) in all.iter().enumerate() {
        // Free, grounded, and grounded where the passage itself says what the model shall say.
        for (is_free, supported) in [(true, false), (false, false), (false, true)] {
            // A passage that holds our instructions would be quoted, not leaked.
            if supported && said == "SYSTEM" {
                continue;
            }
            stage.model.is_free.store(is_free, Ordering::SeqCst);
            let own = own_instructions(&stage);
            let said = said.replace("SYSTEM", &own);
            let answer = format!("{} {said}\n{}", FINE[0], FINE[1]);
            *poison.lock().unwrap() = if supported {
                format!("{} {instruction} {said}\n{}", FINE[0], FINE[1])
            } else {
                format!("{} {instruction}", FINE[0])
            };
            *stage.model.scripts.lock().unwrap() = [Script::Pieces(pieces(&answer, &mut dice))].into();
            stage
                .says(&key, &format!("what helps against a cold? ({index})"))
                .await;
            for text in left(&stage).await {
                let rest = rest_of(&text);
                let words = forbidden_in(&rest);
                // Half of a short cipher, or twenty letters of a longer one.
                let letters = said.chars().filter(|it| it.is_alphanumeric()).count();
                let too_much = (letters / 2).clamp(5, 20);
                if !words.is_empty() || shared(&rest, &said) >= too_much {
                    found.push(format!(
                        "free {is_free}, supported {supported}: {said} → {rest} {words:?}"
                    ));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} {found:#?}", found.len());
}
