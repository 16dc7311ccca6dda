//! Where patients are sent: age, sex, several, a hospital's own list, and never a name that is not on it.

use bedside_triage::{Assessment, PatientFacts, Rules, Sex};
use proptest::prelude::*;

fn assess(text: &str, age_years: Option<f32>, sex: Option<Sex>) -> Assessment {
    let facts = PatientFacts {
        age_years,
        sex,
        ..PatientFacts::default()
    };
    Rules::builtin().assess(text, &facts)
}

const LIST: &[&str] = &[
    "内科",
    "心内科",
    "呼吸与危重症医学科",
    "消化科",
    "神经内科",
    "肾病科",
    "内分泌科",
    "血液科",
    "风湿免疫科",
    "感染科",
    "普外科",
    "骨科",
    "泌尿外科",
    "妇产科",
    "生殖中心",
    "儿科",
    "小儿外科",
    "皮肤科",
    "眼科",
    "耳鼻咽喉头颈外科",
    "口腔科",
    "精神心理科",
    "康复医学科",
    "疼痛科",
    "中医科",
    "肿瘤科",
    "急诊",
    "整形美容科",
    "Cardiology",
    "Paediatrics",
    "ENT",
    "General medicine",
];

#[test]
fn names_of_diseases_and_parts_lead_to_their_department() {
    for (text, expected) in [
        ("请问隆鼻需要多少钱？", "plastic-surgery"),
        ("脸上有雀斑怎么去掉", "dermatology"),
        ("艾灸有什么好处？", "traditional-chinese-medicine"),
        ("乙肝小三阳需要治疗吗", "hepatology"),
        ("癫痫吃什么药好", "neurology"),
        ("半月板损伤了怎么办", "orthopedics"),
        ("智齿要不要拔", "dentistry"),
        ("白内障什么时候手术", "ophthalmology"),
        ("过敏性鼻炎脱敏治疗有用吗", "allergy"),
        ("甲减要终身服药吗", "endocrinology"),
        ("混合痔反复出血", "anorectal-surgery"),
        ("早泄怎么办", "andrology"),
        ("试管婴儿的流程", "reproductive-medicine"),
        ("I think my wisdom tooth is coming through", "dentistry"),
        ("who should see me about psoriasis on my elbows", "dermatology"),
        ("my cataract is getting worse", "ophthalmology"),
        ("I'd like a second opinion about my epilepsy", "neurology"),
        ("thinking about a nose job", "plastic-surgery"),
    ] {
        // Whatever the urgency.
        let chances = assess(text, None, None).department_chances;
        assert_eq!(
            chances.first().map(|it| it.0.as_str()),
            Some(expected),
            "{text}: {chances:?}"
        );
    }
}

#[test]
fn age_and_sex_decide() {
    let first = |text: &str, age: Option<f32>, sex: Option<Sex>| {
        assess(text, age, sex)
            .departments
            .into_iter()
            .next()
            .unwrap_or_default()
    };
    assert_eq!(first("咳嗽三天，有点痰", Some(4.0), None), "pediatrics");
    assert_ne!(first("咳嗽三天，有点痰", Some(40.0), None), "pediatrics");
    assert_eq!(
        first("cough for three days, a bit of phlegm", Some(6.0), None),
        "pediatrics"
    );
    for text in [
        "下腹坠痛，小便灼热",
        "lower belly ache and burning when I pee",
        "尿频尿急两天",
    ] {
        let men = assess(text, Some(35.0), Some(Sex::Male)).departments;
        assert!(
            !men.iter().any(|it| it == "gynecology" || it == "obstetrics"),
            "{text}: {men:?}"
        );
        let women = assess(text, Some(35.0), Some(Sex::Female)).departments;
        assert!(!women.iter().any(|it| it == "andrology"), "{text}: {women:?}");
    }
    let adults = assess("拉肚子两天，没有发烧", Some(30.0), None).departments;
    assert!(!adults.iter().any(|it| it.starts_with("pediatric")), "{adults:?}");
    assert_eq!(
        first("怀孕20周，想问产检要做什么", Some(28.0), Some(Sex::Female)),
        "obstetrics"
    );
}

#[test]
fn several_where_several_are_right_one_where_one_is() {
    let count = |text: &str| assess(text, Some(40.0), None).departments.len();
    assert_eq!(count("智齿要不要拔"), 1);
    assert_eq!(count("白内障什么时候手术"), 1);
    let both = assess("膝盖疼，另外脸上长了很多痘", Some(40.0), None).departments;
    assert!(both.len() >= 2, "{both:?}");
}

#[test]
fn an_emergency_comes_first_and_the_specialty_after_it() {
    let offered = ["心血管内科", "骨科", "急诊医学科"].map(str::to_owned);
    let assessment = assess("胸口像压了块石头，出冷汗，左胳膊发麻半小时了", Some(60.0), None);
    let rules = Rules::builtin();
    assert_eq!(assessment.departments[..2], ["emergency", "cardiology"]);
    assert_eq!(
        rules.choose_departments(&assessment, &offered)[..2],
        ["急诊医学科", "心血管内科"]
    );
    let children = ["儿科", "儿童急诊", "急诊科"].map(str::to_owned);
    let child = assess("宝宝抽搐了，嘴唇发紫，叫不醒", Some(2.0), None);
    assert_eq!(rules.choose_departments(&child, &children)[0], "儿童急诊");
}

#[test]
fn a_hospital_with_few_departments_is_enough() {
    let rules = Rules::builtin();
    let offered = ["内科", "外科", "妇产科", "儿科", "五官科"].map(str::to_owned);
    for (text, age, expected) in [
        ("心慌，早搏", Some(50.0), "内科"),
        ("半月板损伤了怎么办", Some(30.0), "外科"),
        ("月经推迟十天了", Some(30.0), "妇产科"),
        ("怀孕12周想产检", Some(30.0), "妇产科"),
        ("孩子咳嗽三天", Some(5.0), "儿科"),
        ("眼睛干涩，视物模糊", Some(30.0), "五官科"),
        ("牙疼", Some(30.0), "五官科"),
    ] {
        let chosen = rules.choose_departments(&assess(text, age, None), &offered);
        assert_eq!(
            chosen.first().map(String::as_str),
            Some(expected),
            "{text}: {chosen:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn only_names_of_the_list_each_once_in_an_order_that_stays(
        picked in proptest::sample::subsequence(LIST.to_vec(), 1..12),
        text in proptest::sample::select(vec![
            "头痛两天", "孩子发烧39度", "怀孕10周见红", "腰疼腿麻", "月经不调", "咳嗽有痰", "牙疼", "想整容", "你好",
            "胸痛出冷汗", "skin rash after eating nuts", "my knee hurts", "hello", "baby has a fever", "blood in my urine",
        ]),
        age in proptest::option::of(0.1_f32..95.0),
    ) {
        let rules = Rules::builtin();
        let assessment = assess(text, age, None);
        let mut list: Vec<String> = picked.into_iter().map(str::to_owned).collect();
        list.push("药剂库房".to_owned());
        let chosen = rules.choose_departments(&assessment, &list);
        prop_assert!(chosen.len() <= 3);
        for (place, name) in chosen.iter().enumerate() {
            prop_assert!(list.contains(name));
            prop_assert!(name != "药剂库房");
            prop_assert!(!chosen[..place].contains(name));
        }
        prop_assert_eq!(&chosen, &rules.choose_departments(&assessment, &list));
        list.push("全科".to_owned());
        prop_assert!(!rules.choose_departments(&assessment, &list).is_empty());
    }
}
