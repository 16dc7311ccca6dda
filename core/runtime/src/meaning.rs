//! Departments by what a message means, where there is an embedding model.

use bedside_triage::{Assessment, Disposition, Meaning};

use crate::bot::Shared;

/// The assessment with its departments ranked by meaning, too. Not for an emergency, which waits for nothing; without
/// a model it stays as it is.
pub(crate) async fn considered(shared: &Shared, text: &str, assessment: &Assessment) -> Assessment {
    let mut assessment = assessment.clone();
    let names_none = assessment.department_chances.is_empty();
    let Some(embedder) = shared.embedder.clone() else {
        return assessment;
    };
    if names_none || assessment.disposition == Disposition::Emergency {
        return assessment;
    }
    let text = text.to_owned();
    let meaning = tokio::task::spawn_blocking(move || Meaning::of(&text, embedder.as_ref())).await;
    if let Ok(Ok(meaning)) = meaning {
        shared.rules.consider_meaning(&mut assessment, &meaning);
    }
    assessment
}
