//! What the rules say of a message: of all its words, a command's too, and of it together with what came before.

use bedside_contract::{Disposition, Part, PartKind};
use bedside_triage::{Assessment, EmergencyContacts, FindingStatus, Language, PatientFacts, Rules};

use super::command::words_behind;

/// [`assess_alone`] for async code.
pub(crate) async fn read_alone(rules: &'static Rules, text: &str) -> Assessment {
    let text = text.to_owned();
    on_a_blocking_thread(move || assess_alone(rules, &text)).await
}

/// [`assess_together`] for async code.
pub(crate) async fn read_together(rules: &'static Rules, before: &[&str], text: &str) -> Assessment {
    let before: Vec<String> = before.iter().map(|it| (*it).to_owned()).collect();
    let text = text.to_owned();
    on_a_blocking_thread(move || {
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        assess_together(rules, &before, &text)
    })
    .await
}

/// The second reader's encoder computes for some 20 ms, for the longest messages 50.
pub(crate) async fn on_a_blocking_thread<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The program ends.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The whole text, whatever command it begins with.
pub(crate) fn assess_alone(rules: &Rules, text: &str) -> Assessment {
    let assess = |text: &str| rules.assess(text, &PatientFacts::default());
    let mut found = assess(text);
    let behind = words_behind(text);
    if behind.is_empty() && !text.trim().starts_with(['/', '／']) {
        return found;
    }
    // A command's name may hide a symptom or make it a question, or be a sentence itself.
    let without_marks = text.replace(['/', '／', '_', ':'], " ");
    for other in [behind, &without_marks] {
        if found.disposition < Disposition::Emergency && !other.trim().is_empty() {
            let read = assess(other);
            if read.disposition == Disposition::Emergency {
                // Their places are those of the text.
                let findings = found.findings;
                found = Assessment { findings, ..read };
            }
        }
    }
    found
}

/// The text and it together with what was said before, oldest first, since a patient may spread a red flag over
/// several messages.
pub(crate) fn assess_together(rules: &Rules, before: &[&str], text: &str) -> Assessment {
    let alone = assess_alone(rules, text);
    // What was an emergency by itself had its notice.
    let before: Vec<&str> = before
        .iter()
        .copied()
        .filter(|it| assess_alone(rules, it).disposition < Disposition::Emergency)
        .collect();
    let Some(last) = before.last() else { return alone };
    if alone.disposition == Disposition::Emergency {
        return alone;
    }
    let assess = |text: &str| rules.assess(text, &PatientFacts::default());
    let mut together = vec![format!("{last}\n{text}"), format!("{last} {text}")];
    // Chinese has no gaps between words, so that a word may have been cut.
    if last.chars().next_back().is_some_and(is_without_gaps)
        && text.chars().next().is_some_and(is_without_gaps)
    {
        together.push(format!("{last}{text}"));
    }
    if before.len() > 1 {
        together.push(format!("{}\n{text}", before.join("\n")));
        together.push(format!("{} {text}", before.join(" ")));
    }
    let mut raised = None;
    for (index, joined) in together.iter().enumerate() {
        let assessment = assess(joined);
        let is_emergency = assessment.disposition == Disposition::Emergency;
        if is_emergency || index == 0 {
            raised = Some(assessment);
        }
        if is_emergency {
            break;
        }
    }
    let speaks_of_health = alone
        .findings
        .iter()
        .any(|it| it.status == FindingStatus::Present);
    match raised {
        Some(raised)
            if raised.disposition == Disposition::Emergency
                || (speaks_of_health && raised.disposition > alone.disposition) =>
        {
            // Offsets of findings refer to the text that the patient just wrote.
            Assessment {
                findings: alone.findings,
                ..raised
            }
        }
        _ => alone,
    }
}

/// Long texts are read in pieces that overlap, so that a few seconds of work cannot be asked for with one message.
pub(crate) fn assess_long(rules: &Rules, text: &str) -> Assessment {
    const PIECE: usize = 4_000;
    const OVERLAP: usize = 400;
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let mut from = 0;
    let mut found: Option<Assessment> = None;
    loop {
        let end = starts.get(from + PIECE).copied().unwrap_or(text.len());
        let start = starts.get(from).copied().unwrap_or(text.len());
        let read = assess_alone(rules, text.get(start..end).unwrap_or_default());
        if read.disposition == Disposition::Emergency || end == text.len() {
            return match found {
                Some(first) if read.disposition < first.disposition => first,
                _ => read,
            };
        }
        found = Some(match found {
            Some(first) if first.disposition >= read.disposition => first,
            _ => read,
        });
        from += PIECE - OVERLAP;
    }
}

/// The notice itself; `bedside ask` shows it too.
#[must_use]
pub fn emergency_part(
    rules: &Rules,
    assessment: &Assessment,
    language: Language,
    contacts: &EmergencyContacts,
) -> Part {
    Part {
        kind: PartKind::Emergency,
        disposition: Some(Disposition::Emergency),
        disposition_text: Some(rules.disposition_text(Disposition::Emergency, language)),
        departments: assessment
            .departments
            .iter()
            .map(|it| rules.department_name(it, language))
            .collect(),
        ..Part::notice(language, rules.emergency_notice(assessment, language, contacts))
    }
}

fn is_without_gaps(c: char) -> bool {
    !c.is_ascii() && c.is_alphanumeric()
}

#[cfg(test)]
mod tests;
