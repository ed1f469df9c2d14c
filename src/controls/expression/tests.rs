//! The corpus that tests/cluster/cel.rs runs through a real API server, and what is hostile.
//! A line that is answered otherwise than the API server answers it fails here, unless it is refused or an error.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::*;

const NULL: Value = Value::Null;

fn read(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cel");
    serde_json::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap()
}

fn answer(source: &str, inputs: Inputs<'_>) -> (&'static str, String) {
    let expression = match Expression::condition(source) {
        Ok(expression) => expression,
        Err(refusal) => return ("refused", refusal.to_string()),
    };
    match expression.holds(inputs, &mut Budget::default()) {
        Ok(true) => ("holds", String::new()),
        Ok(false) => ("fails", String::new()),
        Err(fail) => ("error", fail.to_string()),
    }
}

/// Where the two differ, Demarc refuses the expression, or finds an error where the API server finds an answer: an error never becomes a
/// value, so it can only deny more.
#[test]
fn the_corpus_is_answered_as_written_and_never_more_kindly_than_by_the_api_server() {
    let (object, params) = (read("object.json"), read("params.json"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cel");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "cel")).collect();
    files.sort();
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let mut blessed = Vec::new();
        for (i, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.is_empty() {
                blessed.push(line.to_owned());
                continue;
            }
            let (ours, rest) = line.split_once(' ').unwrap();
            let (theirs, source) = rest.trim_start().split_once(' ').unwrap();
            let source = source.trim_start();
            let mut object = object.clone();
            object["metadata"]["name"] = json!(stem);
            object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
            let request = json!({"operation": "CREATE", "name": stem, "namespace": "default", "kind": {"group": "demarc.test", "version": "v1", "kind": "Thing"},
                "userInfo": {"username": "admin", "groups": ["system:masters", "system:authenticated"]}});
            let namespace = json!({"metadata": {"name": "default", "labels": {"kubernetes.io/metadata.name": "default"}}});
            let inputs = Inputs { object: &object, old_object: &NULL, request: &request, namespace: &namespace, params: &params };
            let (said, why) = answer(source, inputs);
            if said != ours {
                wrong.push(format!("{stem}:{} {said} (not {ours}) {source}: {why}", i + 1));
            }
            if said != theirs && !matches!(said, "refused" | "error") {
                wrong.push(format!("{stem}:{} {said}, the API server: {theirs}: {source}", i + 1));
            }
            blessed.push(format!("{said:<7} {theirs:<7} {source}"));
        }
        if std::env::var_os("DEMARC_BLESS").is_some() {
            fs::write(&file, blessed.join("\n") + "\n").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn nulls() -> Inputs<'static> {
    Inputs { object: &NULL, old_object: &NULL, request: &NULL, namespace: &NULL, params: &NULL }
}

#[test]
fn what_is_hostile_to_the_parser_is_refused_on_a_small_stack() {
    let hostile = [
        "(".repeat(4000),
        "[".repeat(4000),
        "{".repeat(4000),
        format!("{}true{}", "(".repeat(2000), ")".repeat(2000)),
        format!("{}true{}", "(".repeat(23), ")".repeat(23)),
        format!("{}true", "!".repeat(4000)),
        format!("{}1 == 1", "-".repeat(4000)),
        format!("{}1 == 1", "- ".repeat(2000)),
        format!("object{} == 1", ".a".repeat(2000)),
        format!("object{} == 1", "[0]".repeat(1300)),
        format!("object{} == 1", ".?a".repeat(1300)),
        format!("true{}", "&&true".repeat(680)),
        format!("true{}", " || true && true".repeat(250)),
        format!("1{} == 1", "+1".repeat(2000)),
        format!("1{} == 1", "*1".repeat(2000)),
        format!("{}true", "true?true:".repeat(400)),
        format!("true{}", "?true".repeat(400)),
        format!("1{}", "==1".repeat(1300)),
        format!("'a'{} == 'a'", ".trim()".repeat(500)),
        format!("[1]{} == [1]", ".map(i,i)".repeat(400)),
        format!("{}true{}", "[1].all(i,".repeat(300), ")".repeat(300)),
        format!("{}1{}", "f(".repeat(1300), ")".repeat(1300)),
        format!("{}1{} == 1", "[".repeat(20), "][0]".repeat(20)),
        format!("{{{}}} == {{}}", "'a':1,".repeat(600)),
        format!("[{}] == [1]", "1,".repeat(2000)),
        format!("'{}' == 'a'", "a".repeat(5000)),
        format!("'{}", "\\".repeat(4000)),
        "\"".repeat(4001),
        "\u{202e}true\u{0}".to_owned(),
        "\u{7f}\u{1b}[2J".to_owned(),
        "'a'.matches('(((((((((((((((((((((((((((((((((((((((((a)))))))))))))))))))))))))))))))))))))))))')".to_owned(),
        "'a'.matches('((a{100}){100}){100}')".to_owned(),
        "'a'.matches('(a{1000}){1000}')".to_owned(),
        format!("'a'.matches('{}')", "(a|b)?".repeat(600)),
        format!("'a'.matches('[{}]')", "a-z".repeat(1200)),
        format!("'a'.matches('{}')", "(?:".repeat(1300)),
        "1 == 999999999999999999999999999999".to_owned(),
        "1e999999999999 == 1.0".to_owned(),
        String::new(),
        " ".repeat(4000),
        "\n".repeat(4000),
    ];
    // Half of what a thread of the server has.
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let told = small
        .spawn(move || {
            let one = |source: &String| {
                let began = std::time::Instant::now();
                let said = answer(source, nulls());
                (source.chars().take(30).collect::<String>(), said, began.elapsed())
            };
            hostile.iter().map(one).collect::<Vec<_>>()
        })
        .unwrap()
        .join()
        .unwrap();
    for (source, (said, why), took) in &told {
        println!("{took:?} {said} {source}: {why}");
        assert!(took.as_millis() < 5000, "{source}: {took:?}");
    }
}

#[test]
fn what_is_hostile_to_a_review_ends_soon() {
    let words: Vec<Value> = (0..60_000).map(|i| json!(format!("word-{i:040}"))).collect();
    let object = json!({"list": words, "text": "a".repeat(3 << 20), "map": (0..30_000).map(|i| (format!("key-{i}"), json!(i))).collect::<serde_json::Map<_, _>>()});
    let inputs = Inputs { object: &object, ..nulls() };
    for source in [
        "object.list.all(a, object.list.all(b, a != b || a == b))",
        "object.list.all(a, object.list.all(b, object.list.all(c, true)))",
        "object.list.all(a, a in object.list)",
        "object.list.all(a, object.list == object.list)",
        "object.list.exists(a, !(a in object.list)) || object.list.all(a, sets.equivalent(object.list, object.list))",
        "object.list.map(a, object.list.map(b, b)).size() == 0",
        "object.list.map(a, object.text + a).size() == 0",
        "object.list.map(a, object.list + object.list).size() == 0",
        "object.list.all(a, object.text.contains(a) || true)",
        "object.list.all(a, object.text.replace('a', object.text) == '' || true)",
        "object.text.replace('a', object.text) == ''",
        "object.text.replace('', 'aaaaaaaa').replace('', 'aaaaaaaa').replace('', 'aaaaaaaa') == ''",
        "object.list.all(a, object.text.split('').size() > 0)",
        "object.text.split('').map(a, object.text).join('') == ''",
        "object.list.all(a, object.text.matches('^(a+)+$') || object.text.matches('(a|a)*b'))",
        "object.list.all(a, object.map.all(k, object.map[k] >= 0))",
        "object.list.all(a, object.map.transformMap(k, v, v).size() > 0)",
        "object.list.all(a, object.text.size() > 0 && object.text.indexOf('b') == -1)",
        "object.list.all(a, object.list.map(b, b).indexOf(a) >= 0)",
        "object.list.all(a, object.list.map(b, b).join('').size() > 0)",
        "object.list.all(a, {'a': object.list, 'b': object.list}.a == object.list)",
        "object.list.all(a, quantity('1Gi').isGreaterThan(quantity('1Mi')) && cidr('10.0.0.0/8').containsIP('10.0.0.1') && false || true) && object.list.all(a, object.list.all(b, ip('::1') == ip('::1')))",
        "[object.text].map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).size() == 1",
        "[[1]].map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).size() == 1",
    ] {
        let began = std::time::Instant::now();
        let expression = Expression::condition(source).unwrap_or_else(|e| panic!("{source}: {e}"));
        let mut budget = Budget::default();
        let said = expression.holds(inputs, &mut budget);
        println!("{:?} {said:?} {source}", began.elapsed());
        assert_eq!(said, Err(Fail::Spent), "{source}");
        // Of a debug build on a busy machine; a release build takes a twentieth of it.
        assert!(began.elapsed().as_millis() < 4000, "{source}: {:?}", began.elapsed());
        assert_eq!(Expression::condition("1 + 1 == 2").unwrap().holds(inputs, &mut budget), Err(Fail::Spent), "nothing is left for another");
    }
}

#[test]
fn what_is_spent_is_not_passed_over() {
    let list: Vec<Value> = (0..10_000).map(|i| json!(i)).collect();
    let object = json!({ "list": list });
    let inputs = Inputs { object: &object, ..nulls() };
    let spends = "object.list.all(a, object.list.all(b, true))";
    for source in [format!("{spends} || true"), format!("true && ({spends} || true)"), format!("[1, 2].exists(i, i == 2 || {spends})"), format!("!{spends} || {spends} || true")] {
        let said = Expression::condition(&source).unwrap().holds(inputs, &mut Budget::default());
        assert_eq!(said, Err(Fail::Spent), "{source}");
    }
}

#[test]
fn the_page_names_every_function_and_its_examples_are_taken() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cel.md")).unwrap();
    let unnamed: Vec<_> = functions::FUNCTIONS.iter().map(|f| f.name).filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    let examples: Vec<&str> = page.split("```cel\n").skip(1).flat_map(|block| block.split("```").next().unwrap_or_default().lines()).collect();
    assert!(examples.len() >= 10);
    let control = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let control: crate::api::control::Control = serde_saphyr::from_str(control).unwrap();
    assert_eq!(crate::controls::custom::objections("two-replicas", &control.spec), [], "the page's own control");
    for example in examples {
        Expression::condition(example).unwrap_or_else(|e| panic!("{example}: {e}"));
    }
}
