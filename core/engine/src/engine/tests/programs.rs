//! Programs and plugins beside patients.

use bedside_contract::{ConversationKey, GenerateRequest, GenerationEvent, Generator, Priority};

use super::{EngineConfig, Gate, answer, batching::all_of, collect, next, request, rig, until};

fn from(chat: &str, priority: Priority, text: &str) -> GenerateRequest {
    GenerateRequest {
        conversation: ConversationKey::new("test", "bot", chat),
        priority,
        ..request(text)
    }
}

#[tokio::test]
async fn programs_take_their_share_of_the_places_and_no_more() {
    let config = EngineConfig {
        sequences: 8,
        ..EngineConfig::default()
    };
    let rig = rig(config, Gate::closed());
    rig.engine.wait_ready().await.unwrap();
    let mut programs = Vec::new();
    for number in 0..12 {
        let priority = [Priority::Program, Priority::Background][number % 2];
        let request = from(&format!("program {number}"), priority, "a");
        programs.push(rig.engine.generate(request).await.unwrap());
    }
    rig.gate.allow(1);
    until(|| rig.engine.stats().running == 2).await;
    let mut patients = Vec::new();
    for number in 0..6 {
        let request = from(&format!("{number}"), Priority::Patient, "b");
        patients.push(rig.engine.generate(request).await.unwrap());
    }
    rig.gate.allow(1);
    until(|| rig.engine.stats().running == 8).await;
    assert_eq!(rig.engine.stats().queued, 10, "the programs that wait");
    rig.gate.allow(100_000);
    all_of(patients).await;
    all_of(programs).await;
}

#[tokio::test]
async fn a_full_queue_of_programs_turns_no_patient_away() {
    let config = EngineConfig {
        queue: 4,
        sequences: 1,
        ..EngineConfig::default()
    };
    let rig = rig(config, Gate::closed());
    rig.engine.wait_ready().await.unwrap();
    let mut waiting = Vec::new();
    for number in 0..5 {
        let request = from(&format!("program {number}"), Priority::Program, "a");
        waiting.push(rig.engine.generate(request).await.unwrap());
        until(|| rig.engine.stats().queued == number).await;
    }
    let refused = rig.engine.generate(from("program", Priority::Program, "a")).await;
    assert!(refused.is_err());
    for number in 0..4 {
        let request = from(&format!("{number}"), Priority::Patient, "b");
        waiting.push(rig.engine.generate(request).await.unwrap());
    }
    let refused = rig.engine.generate(from("5", Priority::Patient, "b")).await;
    assert!(refused.is_err(), "patients have the whole queue, and no more");
    rig.gate.allow(100_000);
    all_of(waiting).await;
}

#[tokio::test]
async fn programs_pause_while_a_patients_question_is_read() {
    let config = EngineConfig {
        prompt_chunk: 16,
        ..EngineConfig::default()
    };
    let rig = rig(config, Gate::closed());
    rig.engine.wait_ready().await.unwrap();
    let mut program = rig
        .engine
        .generate(GenerateRequest {
            max_tokens: 200,
            ..from("program", Priority::Program, "a")
        })
        .await
        .unwrap();
    rig.gate.allow(40);
    while !matches!(next(&mut program).await, GenerationEvent::Text(_)) {}
    until(|| rig.gate.is_used_up()).await;
    let before = rig.engine.stats().running;
    let text = "why do I cough? ".repeat(24);
    let mut patient = rig
        .engine
        .generate(from("patient", Priority::Patient, &text))
        .await
        .unwrap();
    rig.gate.allow(2);
    until(|| rig.gate.is_used_up()).await;
    assert_eq!((before, rig.engine.stats().running), (1, 2));
    // What the program still has to say of the passes before.
    while let Ok(event) = tokio::time::timeout(std::time::Duration::from_millis(200), program.next()).await {
        assert!(event.is_some());
    }
    assert_eq!(next(&mut patient).await, GenerationEvent::Started);
    rig.gate.allow(3);
    until(|| rig.gate.is_used_up()).await;
    let said = tokio::time::timeout(std::time::Duration::from_millis(200), program.next()).await;
    assert!(said.is_err(), "the patient's prompt is being read");
    rig.gate.allow(100_000);
    collect(patient).await;
    collect(program).await;
}

#[tokio::test]
async fn a_program_makes_room_for_a_patient_where_memory_is_short() {
    // 33 blocks: a program's prompt of some twenty and a patient's do not fit together.
    let config = EngineConfig {
        kv_cache_mib: Some(0),
        prefix_cache: false,
        ..EngineConfig::default()
    };
    let rig = rig(config, Gate::closed());
    rig.engine.wait_ready().await.unwrap();
    let long = "1".repeat(200);
    let ask = |chat: &str, priority| GenerateRequest {
        max_tokens: 60,
        ..from(chat, priority, &long)
    };
    let alone = {
        rig.gate.allow(100_000);
        let alone = answer(&rig.engine, ask("program", Priority::Program)).await.0;
        rig.gate.close();
        alone
    };
    let program = rig
        .engine
        .generate(ask("program", Priority::Program))
        .await
        .unwrap();
    until(|| rig.engine.stats().running == 1).await;
    let mut patient = rig
        .engine
        .generate(ask("patient", Priority::Patient))
        .await
        .unwrap();
    rig.gate.allow(30);
    loop {
        match next(&mut patient).await {
            GenerationEvent::Started => break,
            GenerationEvent::Queued { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    rig.gate.allow(100_000);
    collect(patient).await;
    assert_eq!(
        collect(program).await.0.concat(),
        alone,
        "it goes on where it was"
    );
}

#[tokio::test]
async fn nobody_learns_from_the_cache_what_others_asked() {
    let rig = rig(EngineConfig::default(), Gate::open());
    rig.engine.wait_ready().await.unwrap();
    let question = "have I caught something that nobody may know of? ".repeat(4);
    let ask = |chat: &str, priority| {
        let mut request = from(chat, priority, &question);
        request.messages[0].content = "These instructions are the same for all patients. ".repeat(4);
        request
    };
    let reused = async |request: GenerateRequest| {
        let before = rig.engine.stats().reused_tokens;
        answer(&rig.engine, request).await;
        rig.engine.stats().reused_tokens - before
    };
    let instruction = ask("", Priority::Patient).messages[0].content.len() as u64;
    assert_eq!(reused(ask("a", Priority::Patient)).await, 0);
    let own = reused(ask("a", Priority::Patient)).await;
    assert!(own > instruction + 100, "one's own question is known: {own}");
    let others = reused(ask("b", Priority::Patient)).await;
    assert!(others > 64 && others <= instruction + 32, "{others}");
    assert_eq!(reused(ask("p", Priority::Program)).await, 0, "a program");
    assert!(
        reused(ask("q", Priority::Program)).await > instruction,
        "programs are one"
    );
    assert_eq!(reused(ask("p", Priority::Background)).await, 0, "a plugin");
    rig.engine.forget(&ConversationKey::new("test", "bot", "a"));
    let forgotten = reused(ask("a", Priority::Patient)).await;
    assert_eq!(forgotten, others, "only what all have in common is left");
    assert!(reused(ask("b", Priority::Patient)).await > instruction + 100);
}
