//! The graph, read from the drawing as a person reads it: an arrow leads from the node that it begins at to the one
//! that it ends at.

use std::collections::BTreeSet;

use gcp_iam_credentials::emulator::Emulator;
use serde_json::{Map, Value, json};

use super::{page, read_policy, start};
use crate::support::emulator as support;
use crate::support::random::{Random, setting};

const ACCOUNTS: [&str; 5] = [
    "a@p.iam.gserviceaccount.com",
    "b@p.iam.gserviceaccount.com",
    "c@q.iam.gserviceaccount.com",
    "d@q.iam.gserviceaccount.com",
    "e@r.iam.gserviceaccount.com",
];
const USERS: [&str; 2] = ["user:alice@example.com", "user:bob@other.example"];
/// Members that include others without naming them.
const WILDCARDS: [&str; 2] = ["allUsers", "domain:example.com"];
const GROUPS: [&str; 3] = ["group:inner@example.com", "group:middle@example.com", "group:outer@example.com"];
/// Roles, and whether they give tokens or signatures of an account.
const ROLES: [(&str, bool); 4] = [
    ("roles/iam.serviceAccountTokenCreator", true),
    ("roles/iam.serviceAccountOpenIdTokenCreator", true),
    ("roles/iam.workloadIdentityUser", true),
    ("roles/iam.serviceAccountUser", false),
];
/// The methods, as pages and as URLs name them, and a valid request.
const METHODS: [(&str, &str, &str); 4] = [
    ("GenerateAccessToken", "generateAccessToken", r#""scope": ["email"]"#),
    ("GenerateIdToken", "generateIdToken", r#""audience": "a""#),
    ("SignBlob", "signBlob", r#""payload": """#),
    ("SignJwt", "signJwt", r#""payload": "{}""#),
];

type Corner = (usize, usize);

/// A node of the drawing.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    name: String,
    class: String,
    corner: Corner,
    size: (usize, usize),
    /// The chain that it selects, if it is a link.
    selects: Option<String>,
}

impl Node {
    /// Returns the name as policies have it.
    fn member(&self) -> &str {
        self.name.trim_end_matches(" (disabled)")
    }
}

/// An arrow between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: String,
    to: String,
    class: String,
    about: String,
}

struct Drawing {
    nodes: Vec<Node>,
    arrows: Vec<Arrow>,
}

/// Returns the value of an attribute in the first tag of a text.
fn attribute<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let tag = text.split('>').next()?;
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    value.split('"').next()
}

fn number(text: &str, name: &str) -> usize {
    attribute(text, name).unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{begin} in {text}"));
    rest.split(end).next().unwrap()
}

fn read_node(text: &str) -> Node {
    let rect = &text[text.find("<rect").unwrap()..];
    let selects = attribute(text, "href").map(|href| {
        let chain = between(href, "chain=", "&amp;").replace('+', " ");
        percent_encoding::percent_decode_str(&chain).decode_utf8().unwrap().into_owned()
    });
    Node {
        name: between(text, "<title>", "</title>").to_owned(),
        class: attribute(text, "class").unwrap().to_owned(),
        corner: (number(rect, "x"), number(rect, "y")),
        size: (number(rect, "width"), number(rect, "height")),
        selects,
    }
}

/// Returns the right and the bottom end of a node.
fn ends(node: &Node) -> Corner {
    (node.corner.0 + node.size.0, node.corner.1 + node.size.1)
}

/// Checks that all nodes are in the drawing, apart from each other, and that they fill it.
fn check_places(nodes: &[Node], (width, height): (usize, usize)) {
    for (place, node) in nodes.iter().enumerate() {
        let (right, bottom) = ends(node);
        assert!(right < width && bottom < height, "{node:?} is in {width} x {height}");
        for other in &nodes[place + 1..] {
            let (other_right, other_bottom) = ends(other);
            let is_beside = right < other.corner.0 || other_right < node.corner.0;
            let is_above = bottom < other.corner.1 || other_bottom < node.corner.1;
            assert!(is_beside || is_above, "{node:?} and {other:?} are apart");
        }
    }
    let last = |end: fn(&Node) -> usize| nodes.iter().map(end).max().unwrap_or_default();
    let unused = (width - last(|node| ends(node).0), height - last(|node| ends(node).1));
    assert!(unused.0 < 50 && unused.1 < 50, "{unused:?} of {width} x {height} is unused");
}

/// Reads an arrow, and checks that it can be seen.
fn read_arrow(path: &str, nodes: &[Node], height: usize) -> Arrow {
    let line = attribute(path, "d").unwrap().trim_start_matches('M').replace('C', " ");
    let line: Vec<usize> = line.split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(line.iter().skip(1).step_by(2).all(|y| *y < height), "{line:?} is in the drawing");
    let [x1, y1, _, bend, .., x2, y2] = line[..] else { panic!("{line:?} has two ends") };
    // On its way in a row, it passes below the nodes between its ends.
    let is_over_nodes = y1 == y2 && x1.abs_diff(x2) > 2 * nodes[0].size.0;
    assert!(!is_over_nodes || (bend - y1) * 3 > nodes[0].size.1 * 2, "{line:?} is seen");
    let node_at = |point: Corner, side: fn(&Node) -> usize| {
        let touches = |node: &&Node| (side(node), node.corner.1 + node.size.1 / 2) == point;
        let found = nodes.iter().find(touches).unwrap_or_else(|| panic!("a node at {point:?}"));
        found.member().to_owned()
    };
    Arrow {
        from: node_at((x1, y1), |node| ends(node).0),
        to: node_at((x2, y2), |node| node.corner.0),
        class: attribute(path, "class").unwrap().to_owned(),
        about: between(path, "<title>", "</title>").to_owned(),
    }
}

impl Drawing {
    /// Reads the drawing of a page. Each arrow leads from the right side of a node to the left side of one.
    fn read(page: &str) -> Self {
        let drawing = between(page, "<svg", "</svg>");
        let (width, height) = (number(drawing, "width"), number(drawing, "height"));
        let is_node = |text: &&str| attribute(text, "class").is_some_and(|class| class.starts_with("node "));
        let elements = drawing.split("<a").skip(1).chain(drawing.split("<g").skip(1));
        let nodes: Vec<Node> = elements.filter(is_node).map(read_node).collect();
        check_places(&nodes, (width, height));
        let is_arrow = |path: &&str| attribute(path, "marker-end").is_some();
        let paths = drawing.split("<path").skip(1).filter(is_arrow);
        let arrows = paths.map(|path| read_arrow(path, &nodes, height)).collect();
        Self { nodes, arrows }
    }

    fn of_class(&self, class: &str) -> Vec<&Arrow> {
        self.arrows.iter().filter(|arrow| arrow.class == class).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node.member() == name)
    }

    /// Whether arrows of the class `step` lead to a node from another one, or from one that may include it.
    fn leads(&self, from: &str, to: &str) -> bool {
        self.of_class("step").into_iter().filter(|arrow| arrow.to == to).any(|arrow| {
            arrow.from == from
                || WILDCARDS.contains(&&*arrow.from)
                // No way leads through another account.
                || (!arrow.from.starts_with("serviceAccount:") && self.leads(from, &arrow.from))
        })
    }
}

fn member_of(account: &str) -> String {
    format!("serviceAccount:{account}")
}

/// Returns the bearer token of a user or an account.
fn token_of(principal: &str) -> String {
    format!("token-of-{}", principal.replace([':', '@'], "-"))
}

/// A random policy, and the arrows that it has: from, to, and what is said about them.
struct Drawn {
    policy: Value,
    arrows: BTreeSet<(String, String, String)>,
}

impl Drawn {
    fn new(random: &mut Random) -> Self {
        let mut drawn = Self { policy: json!({}), arrows: BTreeSet::new() };
        let mut accounts = Map::new();
        for account in ACCOUNTS {
            let grants = drawn.grants(random, &member_of(account));
            let disabled = random.percent(10);
            accounts.insert(account.to_owned(), json!({"grants": grants, "disabled": disabled}));
        }
        let grants = drawn.grants(random, "project:q");
        if drawn.arrows.iter().any(|(_, to, _)| to == "project:q") {
            for account in ACCOUNTS.iter().filter(|account| account.contains("@q.")) {
                drawn.arrow("project:q", &member_of(account), "is in the project");
            }
        }
        for pair in GROUPS.windows(2) {
            drawn.arrow(pair[0], pair[1], "is a member");
        }
        drawn.arrow(USERS[1], GROUPS[0], "is a member");
        let name = |group: &str| group.trim_start_matches("group:").to_owned();
        let groups =
            json!({name(GROUPS[0]): [USERS[1]], name(GROUPS[1]): [GROUPS[0]], name(GROUPS[2]): [GROUPS[1]]});
        let tokens = USERS.iter().map(|user| (*user).to_owned()).chain(ACCOUNTS.map(member_of));
        let tokens: Vec<Value> =
            tokens.map(|name| json!({"token": token_of(&name), "principal": name})).collect();
        let projects = json!({
            "p": {"apiDisabled": random.percent(10)},
            "q": {"apiDisabled": random.percent(10), "grants": grants},
        });
        drawn.policy =
            json!({"serviceAccounts": accounts, "projects": projects, "groups": groups, "tokens": tokens});
        drawn
    }

    fn arrow(&mut self, from: &str, to: &str, about: &str) {
        self.arrows.insert((from.to_owned(), to.to_owned(), about.to_owned()));
    }

    fn grants(&mut self, random: &mut Random, on: &str) -> Value {
        let mut grants = Vec::new();
        for (role, gives_tokens) in ROLES {
            let members: BTreeSet<String> = (0..random.within(0..3)).map(|_| member(random)).collect();
            if !members.is_empty() {
                if gives_tokens {
                    members.iter().for_each(|member| self.arrow(member, on, role));
                }
                let mut grant = json!({"role": role, "members": members});
                if random.percent(15) {
                    grant["propagation"] = "60s".into();
                } else if random.percent(10) {
                    grant["condition"] =
                        json!({"expression": "request.time < timestamp('2001-01-01T00:00:00Z')"});
                }
                grants.push(grant);
            }
        }
        grants.into()
    }
}

fn member(random: &mut Random) -> String {
    match random.within(0..10) {
        0..3 => (*random.choose(&USERS)).to_owned(),
        3..5 => (*random.choose(&GROUPS)).to_owned(),
        5 => (*random.choose(&WILDCARDS)).to_owned(),
        _ => member_of(ACCOUNTS[random.within(0..5) as usize]),
    }
}

/// Reads whether the page says that each hop of the chain is allowed.
fn hops(page: &str) -> Vec<bool> {
    let list = between(page, "<ol class=\"hops\">", "</ol>");
    list.split("<li class=\"").skip(1).map(|hop| hop.starts_with("good")).collect()
}

/// Calls the last account by way of the others. Returns whether the call succeeds, or `None` if the principal has no tokens.
/// What the control page says before agrees.
async fn call(
    emulator: &Emulator,
    principal: &str,
    accounts: &[&str],
    (method, verb, fields): &(&str, &str, &str),
) -> Option<bool> {
    let has_token = USERS.contains(&principal) || principal.starts_with("serviceAccount:");
    let (target, delegates) = accounts.split_last().filter(|_| has_token)?;
    let check =
        json!({"principal": principal, "method": method, "delegates": delegates, "serviceAccount": target});
    let url = format!("{}/emulator/check", emulator.endpoint());
    let (_, foreseen) = support::json("POST", &url, &[], check.to_string()).await;
    let body = format!(r#"{{"delegates": {delegates:?}, {fields}}}"#);
    let (status, reply) = support::rest(emulator, target, verb, &token_of(principal), &body).await;
    assert_eq!(foreseen["allowed"], status == 200, "{check}: {foreseen} {reply}");
    let (foreseen, actual) = (&foreseen["error"]["message"], &reply["error"]["message"]);
    assert_eq!(foreseen, actual, "{check}");
    Some(status == 200)
}

/// Checks that the arrows are those of the policy, besides those of refused hops.
fn check_arrows(drawing: &Drawing, drawn: &Drawn, context: &str) {
    let of_policy = drawing.arrows.iter().filter(|arrow| arrow.class != "refused");
    let arrows: BTreeSet<_> =
        of_policy.map(|arrow| (arrow.from.clone(), arrow.to.clone(), arrow.about.clone())).collect();
    assert_eq!(arrows, drawn.arrows, "{context}");
    let plain = drawing.arrows.iter().filter(|arrow| ["grant", "membership"].contains(&&*arrow.class));
    for arrow in plain {
        assert_eq!(arrow.class == "grant", arrow.about.starts_with("roles/"), "{context}");
    }
}

/// Checks that the drawing says the same of each hop as the text. Returns how many are drawn as refused, and how many
/// are allowed.
fn check_hops(
    drawing: &Drawing,
    principal: &str,
    accounts: &[&str],
    hops: &[bool],
    context: &str,
) -> [usize; 2] {
    assert_eq!(hops.len(), accounts.len(), "{context}");
    let mut refused = BTreeSet::new();
    let mut from = principal.to_owned();
    for (is_allowed, account) in hops.iter().zip(accounts) {
        let to = member_of(account);
        if *is_allowed {
            assert!(drawing.leads(&from, &to), "{context}");
        } else if drawing.has(&from) {
            refused.insert((from, to.clone()));
        }
        from = to;
    }
    let shown = drawing.of_class("refused").into_iter().map(|arrow| (arrow.from.clone(), arrow.to.clone()));
    assert_eq!(shown.collect::<BTreeSet<_>>(), refused, "{context}");

    // No other arrow is one of the chain's.
    let steps = drawing.of_class("step");
    let leads_on = |to: &str| steps.iter().any(|step| step.from == to);
    let is_target = |to: &str| accounts.iter().any(|account| member_of(account) == to);
    assert!(steps.iter().all(|step| is_target(&step.to) || leads_on(&step.to)), "{context}");
    [refused.len(), hops.iter().filter(|is_allowed| **is_allowed).count()]
}

/// conf: W5
#[tokio::test]
async fn the_drawing_of_random_policies_has_their_grants_and_says_of_chains_what_happens() {
    let emulator = start(None).await;
    let mut random = Random::new(setting("DRAWING_SEED", 1));
    let (mut hops_seen, mut calls_seen) = ([0; 2], [0; 2]);
    for _ in 0..setting("DRAWINGS", 200) {
        let drawn = Drawn::new(&mut random);
        emulator.policy().set(read_policy(&drawn.policy)).unwrap();
        let principal = member(&mut random);
        let count = random.within(1..4);
        let accounts: Vec<&str> = (0..count).map(|_| *random.choose(&ACCOUNTS)).collect();
        let request = random.choose(&METHODS);
        let chain = format!("?chain={principal}+{}&method={}", accounts.join("+"), request.0);
        let page = page(&emulator, &chain).await;
        let drawing = Drawing::read(&page);
        let context = format!("{chain}: {:?}\n{}", drawing.arrows, drawn.policy);
        check_arrows(&drawing, &drawn, &context);
        let seen = check_hops(&drawing, &principal, &accounts, &hops(&page), &context);
        hops_seen = [hops_seen[0] + seen[0], hops_seen[1] + seen[1]];
        if let Some(is_allowed) = call(&emulator, &principal, &accounts, request).await {
            assert_eq!(page.contains("<strong>Allowed. "), is_allowed, "{context}");
            calls_seen[usize::from(is_allowed)] += 1;
        }
    }
    assert!(hops_seen.iter().all(|count| *count > 50), "{hops_seen:?} hops are refused, and allowed");
    assert!(calls_seen.iter().all(|count| *count > 10), "{calls_seen:?} calls are refused, and succeed");
}

/// conf: W5
#[tokio::test]
async fn a_node_says_what_it_is_and_what_it_selects() {
    let emulator = start(None).await;
    let policy = json!({
        "serviceAccounts": {
            ACCOUNTS[0]: {"grants": [{"role": ROLES[0].0, "members": [USERS[0]]}]},
            ACCOUNTS[1]: {"disabled": true, "grants": [{"role": ROLES[0].0, "members": [member_of(ACCOUNTS[0])]}]},
            ACCOUNTS[2]: {},
        },
        "groups": {"inner@example.com": []},
        "projects": {"q": {"grants": [{"permissions": ["iam.serviceAccounts.signJwt"], "members": [GROUPS[0]]}]}},
    });
    emulator.policy().set(read_policy(&policy)).unwrap();
    let page = page(&emulator, &format!("?chain={}+{}&method=SignJwt", USERS[0], ACCOUNTS[0])).await;
    let drawing = Drawing::read(&page);
    let chain = format!("{} {}", USERS[0], ACCOUNTS[0]);
    let nodes: BTreeSet<(String, &str, Option<String>)> = drawing
        .nodes
        .iter()
        .map(|node| (node.name.clone(), node.class.as_str(), node.selects.clone()))
        .collect();
    let expected = [
        (USERS[0].to_owned(), "node principal selected", Some(USERS[0].to_owned())),
        (member_of(ACCOUNTS[0]), "node account selected", Some(chain.clone())),
        (
            format!("{} (disabled)", member_of(ACCOUNTS[1])),
            "node account disabled",
            Some(format!("{chain} {}", ACCOUNTS[1])),
        ),
        (member_of(ACCOUNTS[2]), "node account", Some(format!("{chain} {}", ACCOUNTS[2]))),
        (GROUPS[0].to_owned(), "node principal", Some(GROUPS[0].to_owned())),
        // Nobody acts as a project.
        ("project:q".to_owned(), "node project", None),
    ];
    assert_eq!(nodes, expected.into_iter().collect());
    let labels: BTreeSet<&str> = between(&page, "<svg", "</svg>")
        .split("</text>")
        .filter_map(|part| Some(part.rsplit_once('>')?.1))
        .collect();
    assert_eq!(
        labels,
        ["alice@example.com", "a@p", "b@p", "c@q", "group:inner@example.com", "project:q", ""].into()
    );
    // Columns lead from left to right.
    let column = |name: &str| drawing.nodes.iter().find(|node| node.member() == name).unwrap().corner.0;
    let (user, account, disabled) =
        (column(USERS[0]), column(&member_of(ACCOUNTS[0])), column(&member_of(ACCOUNTS[1])));
    assert!(user < account && account < disabled, "{user} {account} {disabled}");
}

/// conf: W5, W6
#[tokio::test]
async fn a_part_of_a_large_graph_has_the_grants_that_allow_the_chain() {
    let emulator = start(None).await;
    let mut accounts: Map<_, _> = (0..200)
        .map(|number| {
            let members: Vec<String> = (0..3).map(|user| format!("user:{number}-{user}@x.example")).collect();
            let account = format!("sa{number}@q.iam.gserviceaccount.com");
            (account, json!({"grants": [{"role": ROLES[0].0, "members": members}]}))
        })
        .collect();
    let many: Vec<String> = (0..60).map(|user| format!("user:many-{user}@x.example")).collect();
    accounts[&"sa7@q.iam.gserviceaccount.com".to_owned()] =
        json!({"grants": [{"role": ROLES[0].0, "members": many}]});
    let policy = json!({
        "serviceAccounts": accounts,
        "groups": {"outer@example.com": [USERS[0]]},
        "projects": {"q": {"grants": [{"role": ROLES[0].0, "members": [GROUPS[2]]}]}},
    });
    emulator.policy().set(read_policy(&policy)).unwrap();
    let page = page(&emulator, &format!("?chain={}+sa7@q.iam.gserviceaccount.com", USERS[0])).await;
    assert_eq!(hops(&page), [true]);
    let drawing = Drawing::read(&page);
    assert_eq!(drawing.nodes.len(), 40);
    assert!(drawing.leads(USERS[0], "serviceAccount:sa7@q.iam.gserviceaccount.com"), "{:?}", drawing.arrows);
    assert!(drawing.of_class("refused").is_empty());
}
