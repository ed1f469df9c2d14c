//! Who stands in a Roster, or acts in these tests, is named in nothing that Demarc tells: looked for when each of the tests has ended, in whatever
//! every replica logged, counted, traced, wrote as an Event or into a status, and in every refusal and warning, but the one that the user got.

use serde_json::Value;

use crate::world::World;

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let named = named(self, &people(self));
            assert!(named.is_empty(), "{named:#?}");
        }
    }
}

/// The names of the users here, and of all who stand in a Roster that is left.
fn people(world: &World) -> Vec<String> {
    let rosters = list(world, "rosters");
    let in_rosters = rosters.iter().flat_map(|roster| roster["spec"]["people"].as_array().cloned().unwrap_or_default());
    let names = in_rosters.flat_map(|person| [vec![person["name"].clone()], person["aliases"].as_array().cloned().unwrap_or_default()].concat());
    ["alice", "bob"].into_iter().map(str::to_owned).chain(names.filter_map(|name| name.as_str().map(str::to_owned))).collect()
}

/// Where one of them is named, and how.
fn named(world: &World, people: &[String]) -> Vec<String> {
    let mut texts = vec![("logs".to_owned(), world.plane.logs())];
    texts.extend(world.demarc.as_ref().map(|demarc| ("metrics".to_owned(), demarc.get("/metrics"))));
    texts.extend(world.plane.receiver.iter().map(|receiver| ("traces".to_owned(), receiver.text())));
    let is_ours = |event: &&Value| event["reportingComponent"] == "demarc" || event["source"]["component"] == "demarc";
    texts.extend(list(world, "events").iter().filter(is_ours).map(|event| ("an Event".to_owned(), format!("{} {}", event["reason"], event["message"]))));
    for kind in ["ownerships", "baselines", "waivers"] {
        texts.extend(list(world, kind).iter().map(|object| (format!("a status among {kind}"), object["status"].to_string())));
    }
    let told = world.plane.told();
    let about_others = |person: &str| told.iter().filter(|(user, _)| user != person).map(|(user, told)| (format!("what {user} was told"), told.clone())).collect::<Vec<_>>();
    let find = |person: &String| {
        let all = about_others(person);
        let named = |(_, text): &&(String, String)| text.to_lowercase().contains(&person.to_lowercase());
        texts.iter().chain(&all).filter(named).map(|(place, text)| format!("{person} in {place}: {text}")).collect::<Vec<_>>()
    };
    people.iter().flat_map(find).collect()
}

/// All of a kind; nothing where nobody answers any more.
fn list(world: &World, kind: &str) -> Vec<Value> {
    let said = world.plane.kubectl(&["get", kind, "-A", "-o", "json"], None);
    serde_json::from_str::<Value>(&said.out).ok().and_then(|all| all["items"].as_array().cloned()).unwrap_or_default()
}

#[test]
fn a_name_would_be_found() {
    use serde_json::json;
    let mut world = World::start();
    let roster = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Roster", "metadata": {"name": "acme"}, "spec": {"party": "acme", "people": [{"name": "kim@acme.example", "aliases": ["kimkim"]}]}});
    world.accepts("default", &roster);
    world.declare("shop", &json!({"mode": "Audit"}));
    let people = people(&world);
    assert!(people.contains(&"kimkim".to_owned()) && named(&world, &people).is_empty(), "{:?}", named(&world, &people));
    // What Demarc tells is its own; a stand-in writes what it must not.
    let status = json!({"status": {"digest": "KimKim"}}).to_string();
    world.demarc.take().unwrap().kill();
    world.plane.kubectl(&["patch", "ownership", "default", "-n", "shop", "--subresource=status", "--type=merge", "-p", &status], None).result().unwrap();
    assert!(named(&world, &people).iter().any(|found| found.starts_with("kimkim in a status among ownerships")), "{:?}", named(&world, &people));
    world.plane.kubectl(&["delete", "validatingwebhookconfiguration", "demarc"], None).result().unwrap();
    world.plane.kubectl(&["delete", "ownership", "default", "-n", "shop", "--ignore-not-found"], None).result().unwrap();
}
