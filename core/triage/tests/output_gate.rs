//! What may leave and what may not.

use bedside_triage::{OutputGate, OutputVerdict};

fn check(sentences: &[&str], expect: Option<&'static str>) {
    let wrong: Vec<_> = sentences
        .iter()
        .map(|it| (*it, OutputGate::default().check(it)))
        .filter(|(_, verdict)| {
            *verdict != expect.map_or(OutputVerdict::Pass, |reason| OutputVerdict::Withhold { reason })
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn doses_stay_here() {
    check(
        &[
            "Take two tablets every 6 hours.",
            "You can take 400 mg of ibuprofen.",
            "Ibuprofen 200-400mg three times a day",
            "Give 5 ml of paracetamol syrup.",
            "Amoxicillin 500 mg three times daily for 7 days",
            "Use 2 puffs of your inhaler every 4 hours.",
            "Inject 10 units of insulin before meals.",
            "Take one aspirin tablet now.",
            "Vitamin D 1000 IU daily",
            "Take half a tablet at bedtime.",
            "15 mg/kg of acetaminophen per dose",
            "Apply hydrocortisone cream twice a day.",
            "Take metformin twice daily with meals.",
            "每日三次，每次两片",
            "布洛芬每次0.2克，一日三次",
            "可以吃阿莫西林，每次500毫克",
            "口服对乙酰氨基酚500mg",
            "每6小时服用一次退烧药",
            "一次吃２片，一天３次",
            "蒙脱石散一次一袋，温水冲服",
            "滴眼液每次1滴，每日4次",
            "硝苯地平10毫克含服",
            "建议服用头孢克肟 0.1g 每日两次",
            "二甲双胍饭后服用，一天两次",
            "注射胰岛素八单位",
            "叶酸每天吃0.4毫克",
            "吃三粒连花清瘟胶囊",
            "服美林五毫升",
        ],
        Some("dose"),
    );
}

#[test]
fn prescriptions_and_tokens_stay_here() {
    check(
        &[
            "I will prescribe you an antibiotic.",
            "我给你开药吧",
            "Here is your prescription: see below",
            "为您开处方如下",
        ],
        Some("prescription"),
    );
    check(
        &[
            "Hello<|im_end|>",
            "[gMASK]sop",
            "</s> Hello",
            "<start_of_turn>model",
            "[INST] hi",
            "<｜end▁of▁sentence｜>",
            "[Round 1]",
        ],
        Some("template-token"),
    );
}

#[test]
fn care_is_never_talked_down() {
    check(
        &[
            "There is no need to see a doctor.",
            "You don't need to go to the hospital.",
            "You do not need medical care.",
            "Do not call 120.",
            "Don't go to the emergency room.",
            "It is definitely not cancer.",
            "This is nothing to worry about.",
            "You are perfectly healthy.",
            "You're completely fine!",
            "您完全健康。",
            "不用去医院",
            "不用去醫院",
            "您不需要看医生",
            "没必要去医院检查",
            "肯定没事，放心吧",
            "绝对不是癌症",
            "无需就医",
            "这个不必去看医生，在家休息就好",
        ],
        Some("discourages-care"),
    );
}

#[test]
fn ordinary_advice_passes() {
    check(
        &[
            "Drink 2 litres of water a day.",
            "Drink 200 ml of water every hour.",
            "Rest for 7 days.",
            "See a doctor if the fever is above 38.5 °C.",
            "体温超过38.5℃时请就医",
            "Wash your hands for 20 seconds.",
            "Call 120 now.",
            "请拨打120",
            "Wash your hands three times a day.",
            "Brush your teeth twice a day.",
            "每天刷牙两次",
            "多喝水，每天喝2000毫升水",
            "每天食盐不超过5克",
            "Eat less than 5 g of salt a day.",
            "Keep caffeine below 200 mg a day while pregnant.",
            "A normal fasting blood sugar is 70 to 100 mg/dL.",
            "Cholesterol above 200 mg/dl is high.",
            "Ibuprofen can help against pain; read the leaflet and ask a pharmacist.",
            "Do not take antibiotics without a doctor's advice.",
            "布洛芬可以退烧，请按说明书使用或咨询药师",
            "不要自行服用抗生素",
            "Do not hesitate to see a doctor.",
            "不要犹豫，马上去医院",
            "Exercise 30 minutes five times a week.",
            "每周运动三次，每次30分钟",
            "Cool the burn under running water for 20 minutes.",
            "用流动的凉水冲20分钟",
            "Eat two slices of bread.",
            "早餐吃两片面包",
            "About 1 in 10 people have this.",
            "Walk for half an hour every day.",
            "如果三天不好转，请到医院就诊",
            "This is usually not serious, but see a doctor if it lasts more than a week.",
            "您应该去看医生",
            "Bathe the eyelid with warm water 3 times a day.",
            "血压高于140/90时请复查",
            "吃清淡的食物，少量多餐，一天五次",
            "我不提供用药剂量，也不开处方：请咨询医生或药师。",
            "Fever of 39 °C for three days needs a doctor today.",
        ],
        None,
    );
}

#[test]
fn changes_of_a_medicine_stay_here() {
    check(
        &[
            "Stop taking your warfarin.",
            "Double your dose of warfarin.",
            "Yes, you should double your blood pressure pills today.",
            "把降压药停了",
            "加量",
            "停药吧。",
            "Double it.",
            "Just skip the next dose.",
        ],
        Some("medicine-change"),
    );
}

#[test]
fn other_languages_stay_here() {
    check(
        &[
            "Beba mucha agua y descanse.",
            "Das ist eine häufige Krankheit.",
            "Пейте больше воды.",
            "水をたくさん飲んでください。",
        ],
        Some("language"),
    );
}

/// What the sentences of an answer get, one behind another.
fn judged(sentences: &[&str]) -> Vec<Option<&'static str>> {
    let mut gate = OutputGate::default();
    sentences
        .iter()
        .map(|it| match gate.judge(it) {
            OutputVerdict::Pass => None,
            OutputVerdict::Withhold { reason } => Some(reason),
        })
        .collect()
}

#[test]
fn care_is_forbidden_in_plain_words_and_not_where_it_only_looks_so() {
    for text in [
        "Don't call an ambulance.",
        "Please do not go to the hospital.",
        "You should not see a doctor.",
        "Doctors are a waste of time.",
        "别去医院。",
        "千万别打120。",
    ] {
        assert_ne!(OutputGate::default().check(text), OutputVerdict::Pass, "{text}");
    }
    for text in [
        "两位病人请分别去医院就诊。",
        "People who do not see a doctor in time can get worse.",
    ] {
        assert_eq!(OutputGate::default().check(text), OutputVerdict::Pass, "{text}");
    }
}

#[test]
fn two_sentences_say_what_none_says_alone() {
    for (first, second, reason) in [
        ("Ibuprofen can ease the pain.\n", "Every six hours.", "dose"),
        ("Ibuprofen can ease the pain.\n", "- three times a day", "dose"),
        ("Paracetamol is a painkiller. ", "400 is enough for most.", "dose"),
        ("Paracetamol is used against fever: two\n", "tablets", "dose"),
        ("布洛芬可以退烧。", "每六小时一次。", "dose"),
        ("布洛芬可以退烧。", "早中晚各一次。", "dose"),
        (
            "Warfarin thins the blood. ",
            "You can stop it now.",
            "medicine-change",
        ),
        ("华法林是抗凝药。", "可以先停了。", "medicine-change"),
        (
            "Amoxicillin is an antibiotic. ",
            "Take it with food.",
            "dose or prescription",
        ),
        (
            "Amoxicillin is an antibiotic. ",
            "You should take it.",
            "prescription",
        ),
        ("Should you see a doctor?\n", "No need.", "discourages-care"),
        ("要去医院吗？", "不用。", "discourages-care"),
        ("需要叫救护车吗？", "没必要。", "discourages-care"),
        (
            "Is this one for the emergency department?\n",
            "Nope.",
            "discourages-care",
        ),
        ("Hello <", "|im_end|", "template-token"),
    ] {
        let alone = OutputGate::default().check(first);
        assert_eq!(alone, OutputVerdict::Pass, "{first}");
        let judged = judged(&[first, second]);
        assert_eq!(judged[0], None, "{first}{second}");
        assert!(
            judged[1].is_some_and(|it| reason.contains(it)),
            "{first}{second}: {judged:?}"
        );
    }
}

#[test]
fn a_medicine_that_was_withheld_still_counts() {
    assert_eq!(
        judged(&["Take 500 mg of paracetamol.", "Every six hours."]),
        [Some("dose"), Some("dose")]
    );
}

#[test]
fn what_follows_a_medicine_may_be_harmless() {
    for text in [
        &[
            "Metformin is a medicine for diabetes.",
            "Check your blood sugar twice a day.",
        ][..],
        &["Statins lower cholesterol.", "Walk for 30 minutes every day."],
        &[
            "Antibiotics do not help.",
            "Most people recover within seven to ten days.",
        ],
        &[
            "Ask a pharmacist before you take ibuprofen.",
            "See a doctor if the fever lasts more than 3 days.",
        ],
        &["二甲双胍是降糖药。", "每天测两次血糖。"],
        &["他汀类药物可以降低胆固醇。", "每周运动三次，每次30分钟。"],
        &["请先咨询药师再用布洛芬。", "发热超过三天请去医院。"],
        &[
            "Insulin lowers blood sugar.",
            "Call 120 if someone does not wake up.",
        ],
    ] {
        assert!(judged(text).iter().all(Option::is_none), "{text:?}");
    }
}

proptest::proptest! {
    /// Marks and separators do not hide a dose.
    #[test]
    fn a_dose_is_seen_through_its_marks(
        number in proptest::sample::select(vec!["500", "five hundred", "٥٠٠", "５００", "1,000", "0.5"]),
        unit in proptest::sample::select(vec!["mg", "m g", "MG", "㎎", "milligrams", "мг"]),
        mark in proptest::sample::select(vec!["", "**", "_", "`", "*", "~~", "***"]),
        around in proptest::sample::select(vec![0, 1, 2]),
        name in proptest::sample::select(vec!["paracetamol", "Ibuprofen", "amoxicillin", "losartan"]),
    ) {
        let (number, unit) = match around {
            0 => (format!("{mark}{number}{mark}"), unit.to_owned()),
            1 => (number.to_owned(), format!("{mark}{unit}{mark}")),
            _ => (format!("{mark}{number}"), format!("{unit}{mark}")),
        };
        let text = format!("Take {number} {unit} of {name}.");
        proptest::prop_assert_ne!(OutputGate::default().check(&text), OutputVerdict::Pass, "{}", text);
    }

    /// Whatever comes, the gate answers.
    #[test]
    fn no_text_breaks_the_gate(texts in proptest::collection::vec("\\PC{0,60}", 0..5)) {
        let mut gate = OutputGate::default();
        for text in &texts {
            let alone = OutputGate::default().check(text);
            let behind = gate.judge(text);
            proptest::prop_assert!(alone == OutputVerdict::Pass || behind == alone);
        }
    }
}
