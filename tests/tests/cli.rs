//! The command line: what programs and operators rely on.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    net::TcpListener,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use bedside_tests::{places, run_bedside};
use serde_json::Value;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

async fn run(directory: &Path, arguments: &[&str]) -> Output {
    run_bedside(&directory.join("data"), arguments, "").await.unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output))
        .unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

async fn fastest(directory: &Path, arguments: &[&str]) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..15 {
        let start = Instant::now();
        assert!(run(directory, arguments).await.status.success());
        best = best.min(start.elapsed());
    }
    best
}

#[tokio::test]
async fn an_emergency_needs_neither_model_nor_time() {
    let directory = directory();
    let arguments = ["ask", "--json", "I have crushing chest pain and cannot breathe"];
    let answer = json(&run(directory.path(), &arguments).await);
    assert_eq!(answer["disposition"], "emergency");
    assert!(answer["answer"].as_str().unwrap().contains("120"), "{answer}");
    assert!(!answer["red_flags"].as_array().unwrap().is_empty(), "{answer}");
    assert_eq!(answer["model"], Value::Null);
    let start = fastest(directory.path(), &["--version"]).await;
    let asked = fastest(directory.path(), &arguments).await;
    // The goal is 50 ms on an idle machine; a neighbour that takes half of it is no fault.
    assert!(
        asked < start + Duration::from_millis(100),
        "{asked:?}, of which {start:?} are the start of a process"
    );
}

/// Nothing asked is not "care at home".
#[tokio::test]
async fn no_text_is_no_case() {
    let directory = directory();
    for arguments in [
        ["triage", ""].as_slice(),
        &["triage", " \n"],
        &["second-reader", "explain", ""],
    ] {
        let output = run(directory.path(), arguments).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("there is no text"));
    }
}

#[tokio::test]
async fn the_second_reader_says_why() {
    let directory = directory();
    let message = "刚才搬完桶装水,左边胳膊酸得抬不起来,牙根也跟着酸,一身冷汗,坐了二十分钟还没缓过来";
    let output = run(directory.path(), &["second-reader", "explain", "--json", message]).await;
    let why = json(&output);
    assert!(why["reading"]["emergency"].as_f64().unwrap() > 0.5, "{why}");
    assert!(
        !why["explanation"]["words_for"].as_array().unwrap().is_empty(),
        "{why}"
    );
    assert_eq!(
        why["explanation"]["examples"][0]["disposition"], "emergency",
        "{why}"
    );
}

#[tokio::test]
async fn messages_that_cannot_be_trained_on_are_named() {
    let directory = directory();
    let own = directory.path().join("own.jsonl");
    std::fs::write(&own, "{\"text\": \"chest pain\"}\n").unwrap();
    let arguments = [
        "second-reader",
        "train",
        "--out",
        "out.bin",
        own.to_str().unwrap(),
    ];
    let output = run(directory.path(), &arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("line 1"), "{said}");
    assert!(!directory.path().join("out.bin").exists());

    // A place that cannot be written is told before the minutes of training.
    let message = r#"{"lang":"en","style":"chat","disposition":"self-care","departments":[],"text":"hay fever","why":""}"#;
    std::fs::write(&own, message).unwrap();
    let nowhere = directory.path().join("missing/out.bin");
    let arguments = [
        "second-reader",
        "train",
        "--out",
        nowhere.to_str().unwrap(),
        own.to_str().unwrap(),
    ];
    let output = run(directory.path(), &arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("cannot be written"),
        "{said}"
    );
}

#[tokio::test]
async fn a_question_is_answered_with_its_passages() {
    let directory = directory();
    let config = directory.path().join("bedside.toml");
    std::fs::write(
        &config,
        format!(
            "[model]\nsource = \"file:{}\"",
            places::model().unwrap().display()
        ),
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let output = run(
        directory.path(),
        &["--config", config, "ask", "--json", "How is gout treated?"],
    )
    .await;
    let answer = json(&output);
    for key in [
        "answer",
        "disposition",
        "departments",
        "red_flags",
        "passages",
        "adapter",
        "model",
        "timings",
    ] {
        assert!(answer.get(key).is_some(), "{key} is missing: {answer}");
    }
    assert!(
        answer["passages"].to_string().to_lowercase().contains("gout"),
        "{answer}"
    );
    assert_ne!(answer["disposition"], "emergency");
}

#[tokio::test]
async fn a_wrong_key_is_named_with_file_line_and_neighbour() {
    let directory = directory();
    let config = directory.path().join("bedside.toml");
    std::fs::write(&config, "[web]\nlisen = \"127.0.0.1:9\"\n").unwrap();
    let config = config.to_str().unwrap();
    let output = run(directory.path(), &["--config", config, "check-config"]).await;
    assert_eq!(output.status.code(), Some(64));
    let said = stderr(&output);
    for word in [&format!("{config}:2"), "web.lisen", "\"listen\""] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    let output = run(directory.path(), &["--config", config]).await;
    assert_eq!(output.status.code(), Some(64), "a start refuses it as well");
}

#[tokio::test]
async fn the_example_configuration_is_good() {
    let example = places::repository().join("configs/bedside.toml");
    let output = run(
        directory().path(),
        &["--config", example.to_str().unwrap(), "check-config"],
    )
    .await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[tokio::test]
async fn a_wrong_word_is_wrong_use() {
    let wrong: [&[&str]; 3] = [
        &["frobnicate"],
        &["ask", "--lang", "fr", "bonjour"],
        &["model", "pull", "hf:nonsense"],
    ];
    for arguments in wrong {
        let output = run(directory().path(), arguments).await;
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn a_wrong_value_names_its_key() {
    let cases = [
        ("[telegram]\nenabled = true\n", "telegram.token"),
        (
            "[telegram]\nenabled = true\ntoken = 'not one'\n",
            "telegram.token",
        ),
        ("[discord]\nenabled = true\n", "discord.token"),
        ("[wechat]\nenabled = true\n", "wechat.appid"),
        (
            "[wechat]\nenabled = true\nappid = 'wx1'\ntoken = 'AAAAA'\n",
            "wechat.encoding_aes_key",
        ),
        (
            "[wechat]\nenabled = true\nappid = 'wx1'\ntoken = 'AAAAA'\nencoding_aes_key = 'short'\n",
            "wechat.encoding_aes_key",
        ),
        ("[web]\npublic_url = 'nonsense'\n", "web.public_url"),
        ("[web.api]\nmanage_adapters = true\n", "web.api.manage_adapters"),
        ("[web.api]\nkey = 'short'\n", "web.api.key"),
        (
            "[web]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '0.0.0.0:0'\n",
            "admin.key_file",
        ),
        (
            "[web]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\nkey = 'short'\n",
            "admin.key",
        ),
        ("[model]\nprompt_format = 'chatgml'\n", "chatglm3"),
        ("[model]\nprompt_format = 'none.jinja'\n", "model.prompt_format"),
    ];
    let directory = directory();
    let config = directory.path().join("bedside.toml");
    for (text, key) in cases {
        std::fs::write(&config, text).unwrap();
        for command in ["check-config", "run"] {
            let output = run(directory.path(), &["--config", config.to_str().unwrap(), command]).await;
            assert_eq!(
                output.status.code(),
                Some(64),
                "{command} {text}: {}",
                stderr(&output)
            );
            assert!(
                stderr(&output).contains(key),
                "{command} {text}: {}",
                stderr(&output)
            );
        }
    }
}

#[tokio::test]
async fn triage_reads_and_writes_json_lines() {
    let directory = directory();
    let input = concat!(
        r#"{"id":"a","text":"I have crushing chest pain and cannot breathe","age":61,"sex":"male"}"#,
        "\n",
        r#"{"id":"b","text":"我流鼻涕两天了，没有发烧"}"#,
        "\n",
    );
    let output = run_bedside(&directory.path().join("data"), &["triage", "--jsonl"], input)
        .await
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["id"], &lines[1]["id"], lines.len()),
        (&"a".into(), &"b".into(), 2)
    );
    assert_eq!(lines[0]["disposition"], "emergency");
    assert_ne!(lines[1]["disposition"], "emergency");
    for line in &lines {
        for key in [
            "disposition",
            "level",
            "red_flags",
            "departments",
            "findings",
            "missing",
        ] {
            assert!(line.get(key).is_some(), "{key} is missing: {line}");
        }
    }
    let length = "我流鼻涕两天了，没有发烧".chars().count() as u64;
    for finding in lines[1]["findings"].as_array().unwrap() {
        let (start, end) = (
            finding["start"].as_u64().unwrap(),
            finding["end"].as_u64().unwrap(),
        );
        assert!(
            start < end && end <= length,
            "positions count characters: {finding}"
        );
        assert!(
            ["present", "absent", "uncertain", "other-person"].contains(&finding["status"].as_str().unwrap())
        );
    }
}

/// Triage of a text in words, with this configuration.
async fn triage_in_words(directory: &Path, config: &str, text: &str) -> String {
    let file = directory.join("bedside.toml");
    std::fs::write(&file, config).unwrap();
    let output = run(directory, &["--config", file.to_str().unwrap(), "triage", text]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[tokio::test]
async fn staff_are_told_the_level_of_the_hospitals_scheme() {
    const OWN: &str = r#"
[[triage.levels]]
id = "A"
name = { en = "resuscitation", zh = "抢救" }
colour = "red"
minutes = 0
dispositions = ["immediate", "emergency"]
ambulance = true
[[triage.levels]]
id = "B"
name = { en = "all others", zh = "其他" }
colour = "white"
minutes = 240
dispositions = ["same-day", "out-patient", "self-care"]
"#;
    let arrest = "My father is not breathing and has no pulse";
    let cold = "我流鼻涕两天了，没有发烧";
    let number = "[bot]\nemergency_number = \"999\"";
    let cases = [
        (
            number.to_owned(),
            "Level I, critical (red), to be seen at once. Ambulance: 999",
            "IV级 亚急症或非急症（绿色）",
            (1, 4),
        ),
        (
            "[triage]\nlevels = \"five\"".to_owned(),
            "Level 1, immediate (red), to be seen at once. Ambulance: 120",
            "5级 非急（蓝色），到院2小时内接诊",
            (1, 5),
        ),
        (
            OWN.to_owned(),
            "Level A, resuscitation (red), to be seen at once. Ambulance: 120",
            "B级 其他（白色），到院4小时内接诊",
            (1, 2),
        ),
    ];
    let directory = directory();
    for (config, of_arrest, of_cold, numbers) in cases {
        let said = triage_in_words(directory.path(), &config, arrest).await;
        assert!(said.lines().any(|it| it == of_arrest), "{config}: {said}");
        let said = triage_in_words(directory.path(), &config, cold).await;
        assert!(said.lines().any(|it| it == of_cold), "{config}: {said}");

        let file = directory.path().join("bedside.toml");
        let file = file.to_str().unwrap();
        let line = |text: &str| serde_json::json!({ "id": 1, "text": text }).to_string();
        let input = format!("{}\n{}\n", line(arrest), line(cold));
        let arguments = ["--config", file, "triage", "--jsonl"];
        let output = run_bedside(&directory.path().join("data"), &arguments, &input).await;
        let output = output.unwrap();
        let levels: Vec<u64> = stdout(&output)
            .lines()
            .map(|it| {
                let line: Value = serde_json::from_str(it).unwrap();
                assert_eq!(line.as_object().unwrap().len(), 7, "its form stays: {line}");
                line["level"].as_u64().unwrap()
            })
            .collect();
        assert_eq!(levels, [numbers.0, numbers.1], "{config}");

        // The notice for patients knows no level.
        let output = run(directory.path(), &["--config", file, "ask", arrest]).await;
        let notice = stdout(&output);
        assert!(
            !notice.contains("Level") && !notice.contains("resuscitation"),
            "{notice}"
        );
        let output = run(directory.path(), &["--config", file, "check-config"]).await;
        assert!(
            output.status.success() && stdout(&output).contains("triage levels:"),
            "{output:?}"
        );
    }

    let gap = OWN.replace("\"out-patient\", ", "");
    let overlap = OWN.replace("\"same-day\",", "\"emergency\", \"same-day\",");
    let colour = OWN.replace("\"white\"", "\"whit\"");
    for (config, place, words) in [
        (gap, ":2: triage.levels: ", "a gap: no level has \"out-patient\""),
        (
            overlap,
            ":14: triage.levels.1.dispositions: ",
            "an overlap: \"emergency\" leads to level \"A\"",
        ),
        (colour, ":12: triage.levels.1.colour: ", "did you mean \"white\"?"),
    ] {
        let file = directory.path().join("wrong.toml");
        std::fs::write(&file, config).unwrap();
        let file = file.to_str().unwrap();
        for command in ["check-config", "run"] {
            let output = run(directory.path(), &["--config", file, command]).await;
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(64), "{said}");
            assert!(
                said.contains(&format!("{file}{place}")) && said.contains(words),
                "{said}"
            );
        }
    }
}

#[tokio::test]
async fn a_third_reader_that_is_too_small_is_warned_of() {
    let directory = directory();
    let config = directory.path().join("bedside.toml");
    let model = places::model().unwrap();
    let text = format!(
        "[bot]\nthird_reader = \"on\"\n[model]\nsource = \"file:{}\"",
        model.display()
    );
    std::fs::write(&config, text).unwrap();
    let output = run(
        directory.path(),
        &["--config", config.to_str().unwrap(), "check-config"],
    )
    .await;
    let said = stdout(&output);
    assert!(
        output.status.success() && said.contains("warning: bot.third_reader") && said.contains("134,515,008"),
        "{said}{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn a_taken_port_is_named_with_key_and_a_free_one() {
    let directory = directory();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = directory.path().join("bedside.toml");
    let model = places::model().unwrap();
    std::fs::write(
        &config,
        format!(
            "[web]\nlisten = \"{address}\"\n[model]\nsource = \"file:{}\"",
            model.display()
        ),
    )
    .unwrap();
    let output = run(directory.path(), &["--config", config.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("web.listen") && said.contains(&address), "{said}");
    let free = said
        .rsplit("127.0.0.1:")
        .next()
        .and_then(|it| it.split(|c: char| !c.is_ascii_digit()).next());
    let free: u16 = free.unwrap().parse().unwrap();
    assert!(
        TcpListener::bind(("127.0.0.1", free)).is_ok(),
        "port {free} is not free: {said}"
    );
}

#[tokio::test]
async fn a_broken_model_file_is_refused_by_name() {
    let directory = directory();
    let broken = directory.path().join("broken.gguf");
    std::fs::write(&broken, b"GGUF but no more than that").unwrap();
    let source = format!("file:{}", broken.display());
    let output = run(directory.path(), &["model", "pull", &source]).await;
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert!(stderr(&output).contains("broken.gguf"), "{}", stderr(&output));

    let missing = format!("file:{}", directory.path().join("missing.gguf").display());
    let output = run(directory.path(), &["model", "pull", &missing]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("missing.gguf"), "{}", stderr(&output));
}

#[tokio::test]
async fn a_model_file_tells_what_it_is() {
    let directory = directory();
    let model = bedside_tests::places::model().unwrap();
    let file = model.to_str().unwrap();
    let output = run(
        directory.path(),
        &["model", "inspect", file, "--context", "1024", "--json"],
    )
    .await;
    assert!(output.status.success(), "{}", stderr(&output));
    let found: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(found["architecture"], "llama");
    assert_eq!(found["layers"], 30);
    // 1,024 tokens × 30 layers × 3 heads of 64, keys and values, two bytes each.
    assert_eq!(found["memory_bytes"]["kv_f16"], 1024 * 30 * 3 * 64 * 2 * 2);
    let shown = run(directory.path(), &["model", "inspect", file]).await;
    let sha256 = found["sha256"].as_str().unwrap();
    assert!(stdout(&shown).contains(sha256), "{}", stdout(&shown));

    let output = run(directory.path(), &["model", "inspect", "/nowhere.gguf"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nowhere.gguf"), "{}", stderr(&output));
}

#[tokio::test]
async fn a_model_is_quantized_and_what_that_costs_is_told() {
    let directory = directory();
    let text = directory.path().join("text.txt");
    let sentences = "Paracetamol lowers a fever. A cough often lasts three weeks. Drink enough, and rest. ";
    std::fs::write(&text, sentences.repeat(12)).unwrap();
    let (source, target) = (places::model().unwrap(), directory.path().join("model.Q4_0.gguf"));
    let (source, target) = (source.to_str().unwrap(), target.to_str().unwrap());
    let arguments = [
        "model", "quantize", source, target, "--to", "Q4_0", "--window", "64", "--json", "--text",
    ];
    let output = run(
        directory.path(),
        &[&arguments[..], &[text.to_str().unwrap()]].concat(),
    )
    .await;
    assert!(output.status.success(), "{}", stderr(&output));
    let found = json(&output);
    let figure = |name: &str| found["perplexity"][name].as_f64().unwrap();
    // The text repeats itself, so it is foretold well; four bits for about five cost little.
    assert!(figure("before") > 1.0 && figure("before") < 30.0, "{found}");
    let ratio = figure("after") / figure("before");
    assert!(ratio > 0.9 && ratio < 1.5 && ratio != 1.0, "{found}");
    let output = run(directory.path(), &["model", "inspect", target, "--json"]).await;
    assert!(json(&output)["weights"]["Q4_0"]["tensors"].as_u64().unwrap() >= 210);

    let output = run(
        directory.path(),
        &["model", "quantize", source, target, "--to", "Q9"],
    )
    .await;
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("Q4_K_M"), "{}", stderr(&output));
    let folder = directory.path().to_str().unwrap();
    let arguments = ["model", "convert", folder, target, "--tokenizer-from", source];
    let output = run(directory.path(), &arguments).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("config.json"), "{}", stderr(&output));
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_bot() {
    use bedside_tests::{Bot, BotOptions};
    let options = BotOptions {
        without_model: true,
        ..BotOptions::default()
    };
    let bot = Bot::start(options).await.unwrap();
    let directory = directory();
    let config = directory.path().join("bedside.toml");
    std::fs::write(
        &config,
        "[web]\nlisten = \"127.0.0.1:0\"\n[model]\nsource = \"file:/nowhere.gguf\"",
    )
    .unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let output = run_bedside(&bot.data_directory(), &arguments, "").await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(bot.data_directory().to_str().unwrap()),
        "{}",
        stderr(&output)
    );
}
