//! What may leave and what may not.

use bedside_triage::{OutputGate, OutputVerdict};

fn check(sentences: &[&str], expect: Option<&'static str>) {
    let wrong: Vec<_> = sentences
        .iter()
        .map(|it| (*it, OutputGate::check(it)))
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
            "Fever of 39 °C for three days needs a doctor today.",
        ],
        None,
    );
}
