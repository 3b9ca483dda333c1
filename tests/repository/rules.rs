//! The dependency rules, as ARCHITECTURE.md writes them.
//!
//! They are in a fenced block with the word `arrows`. An empty line or one that starts with `#` has
//! no meaning. Otherwise a line has one of four forms:
//!
//! ```text
//! base = emulator::error, emulator::clock      a name for several modules; further lines add to it
//! retry -> error, values                       these may use those
//! error, retry never tonic::transport          these must not use that crate, or that part of it
//! exception: src/client/builder.rs -> adc      this file may, in one place
//! ```
//!
//! A module includes the modules below it, apart from those that have a line of their own. `*`
//! stands for all modules. A line may use only names from earlier lines or from itself, so the
//! arrows can't form a circle.
//!
//! The rules are about names. They don't see a method call whose method another module adds to a
//! type.

use std::collections::{BTreeMap, BTreeSet};

use crate::scan::{Path, path};
use crate::tree::{Dependency, ExternalUse, Tree};

/// A group of modules that may use each other.
type Layer = BTreeSet<Path>;

#[derive(Debug, Default)]
pub(crate) struct Rules {
    groups: BTreeMap<String, Layer>,
    arrows: Vec<Arrow>,
    bans: Vec<Ban>,
    exceptions: Vec<Exception>,
}

#[derive(Debug)]
struct Arrow {
    from: Layer,
    to: To,
}

#[derive(Debug)]
enum To {
    All,
    Modules(Layer),
}

#[derive(Debug)]
struct Ban {
    modules: Layer,
    external: Vec<Path>,
}

#[derive(Debug)]
struct Exception {
    file: String,
    to: Path,
}

impl Rules {
    /// Reads the `arrows` block of a Markdown page.
    pub(crate) fn from_page(page: &str) -> Result<Self, String> {
        let (_, after) = page.split_once("\n```arrows\n").ok_or("there is no ```arrows block")?;
        let (block, _) = after.split_once("\n```").ok_or("the ```arrows block has no end")?;
        let mut rules = Self::default();
        for line in block.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            rules.add(line).map_err(|problem| format!("`{line}`: {problem}"))?;
        }
        Ok(rules)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        if let Some(exception) = line.strip_prefix("exception:") {
            return self.add_exception(exception);
        }
        if let Some((name, modules)) = line.split_once(" = ") {
            let modules = self.modules(modules);
            self.groups.entry(name.trim().to_owned()).or_default().extend(modules);
            return Ok(());
        }
        if let Some((modules, external)) = line.split_once(" never ") {
            let external = external.split(',').map(path).collect();
            self.bans.push(Ban { modules: self.modules(modules), external });
            return Ok(());
        }
        let (from, to) = line.split_once("->").ok_or("has none of the four forms")?;
        self.add_arrow(from, to)
    }

    fn add_arrow(&mut self, from: &str, to: &str) -> Result<(), String> {
        let from = self.modules(from);
        if let Some(twice) = from.iter().find(|module| self.arrows.iter().any(|a| a.from.contains(*module))) {
            return Err(format!("`{}` has an earlier line", twice.join("::")));
        }
        let to = match to.trim() {
            "*" => To::All,
            to => To::Modules(self.modules(to)),
        };
        if let To::Modules(to) = &to {
            let is_known = |module: &&Path| from.contains(*module) || self.arrow_of(module).is_some();
            if let Some(unknown) = to.iter().find(|module| !is_known(module)) {
                return Err(format!("`{}` has no earlier line", unknown.join("::")));
            }
        }
        self.arrows.push(Arrow { from, to });
        Ok(())
    }

    fn add_exception(&mut self, line: &str) -> Result<(), String> {
        let (file, to) = line.split_once("->").ok_or("an exception has the form `file -> module`")?;
        self.exceptions.push(Exception { file: file.trim().to_owned(), to: path(to) });
        Ok(())
    }

    fn modules(&self, list: &str) -> Layer {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        names
            .flat_map(|name| self.groups.get(name).cloned().unwrap_or_else(|| Layer::from([path(name)])))
            .collect()
    }

    /// All breaches of the rules, each as a sentence.
    pub(crate) fn breaches(&self, tree: &Tree) -> Vec<String> {
        let mut breaches: Vec<String> = tree.files().filter_map(|file| self.unplaced(file)).collect();
        breaches.extend(self.modules_of_lines().filter_map(|module| missing(module, tree)));
        let wrong = self.wrong_dependencies(tree);
        breaches.extend(wrong.iter().filter(|wrong| self.exception_of(wrong).is_none()).map(wrong_arrow));
        breaches.extend(self.exceptions.iter().filter_map(|exception| exception.breach(&wrong)));
        breaches.extend(tree.external_uses().iter().filter_map(|used| self.banned(used)));
        breaches
    }

    fn modules_of_lines(&self) -> impl Iterator<Item = &Path> {
        let arrows = self.arrows.iter().flat_map(|arrow| &arrow.from);
        arrows.chain(self.bans.iter().flat_map(|ban| &ban.modules))
    }

    fn unplaced(&self, file: &Path) -> Option<String> {
        let has_place = file.is_empty() || self.area_of(file).is_some();
        (!has_place).then(|| format!("{} has no line in the arrows", file_name(file)))
    }

    /// The dependencies that no arrow allows, exceptions included.
    fn wrong_dependencies(&self, tree: &Tree) -> Vec<Dependency> {
        let mut wrong: Vec<Dependency> = tree.dependencies().into_iter().collect();
        wrong.retain(|dependency| !self.allows(&dependency.from, &dependency.to));
        wrong
    }

    fn allows(&self, from: &Path, to: &Path) -> bool {
        if from.is_empty() {
            return true;
        }
        let (Some(from), to) = (self.area_of(from), self.area_of(to)) else { return true };
        let Some(arrow) = self.arrow_of(from) else { return false };
        let Some(to) = to else { return false };
        from == to
            || match &arrow.to {
                To::All => true,
                To::Modules(allowed) => allowed.contains(to),
            }
    }

    fn arrow_of(&self, area: &[String]) -> Option<&Arrow> {
        self.arrows.iter().find(|arrow| arrow.from.contains(area))
    }

    /// The longest start of a module's path that has a line.
    fn area_of(&self, module: &[String]) -> Option<&Path> {
        let areas = self.arrows.iter().flat_map(|arrow| &arrow.from);
        areas.filter(|area| module.starts_with(area)).max_by_key(|area| area.len())
    }

    fn exception_of(&self, wrong: &Dependency) -> Option<&Exception> {
        self.exceptions.iter().find(|exception| exception.covers(wrong))
    }

    fn banned(&self, used: &ExternalUse) -> Option<String> {
        let bans =
            self.bans.iter().filter(|ban| ban.modules.iter().any(|module| used.from.starts_with(module)));
        let mut banned = bans.flat_map(|ban| &ban.external);
        let path = banned.find(|banned| used.path.starts_with(banned))?;
        Some(format!(
            "{}:{} uses `{}`, which its module must not",
            file_name(&used.from),
            used.line,
            path.join("::")
        ))
    }
}

impl Exception {
    fn covers(&self, wrong: &Dependency) -> bool {
        file_name(&wrong.from) == self.file && wrong.to.starts_with(&self.to)
    }

    /// An exception covers exactly one place.
    fn breach(&self, wrong: &[Dependency]) -> Option<String> {
        let places = wrong.iter().filter(|wrong| self.covers(wrong)).count();
        let Self { file, to } = self;
        let to = to.join("::");
        (places != 1)
            .then(|| format!("the exception `{file} -> {to}` is for one place, but there are {places}"))
    }
}

fn missing(module: &Path, tree: &Tree) -> Option<String> {
    let exists = tree.files().any(|file| file.starts_with(module));
    (!exists).then(|| format!("the arrows name `{}`, which doesn't exist", module.join("::")))
}

fn wrong_arrow(wrong: &Dependency) -> String {
    let Dependency { from, to, line } = wrong;
    format!("{}:{line} uses {}: no arrow allows this", file_name(from), file_name(to))
}

pub(crate) fn file_name(module: &[String]) -> String {
    if module.is_empty() { "src/lib.rs".to_owned() } else { format!("src/{}.rs", module.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARROWS: &str = "
        values = name, token
        values, error -> values, error
        source -> values, error
        client -> source, values
        adc -> *
        values, error never tonic::transport
        exception: src/client/builder.rs -> adc";

    fn rules(arrows: &str) -> Result<Rules, String> {
        Rules::from_page(&format!("# Page\n```arrows\n{arrows}\n```\n"))
    }

    /// The breaches of a crate that has, besides `extra`, one empty file for each module.
    fn breaches(extra: &[(&str, &str)]) -> Vec<String> {
        let empty = ["name", "token", "error", "source", "client", "adc"];
        let exception = [("client::builder", "use crate::adc;")];
        let files =
            empty.map(|module| (module, "")).into_iter().chain(exception).chain(extra.iter().copied());
        let tree = Tree::new(files.map(|(module, text)| (path(module), text.to_owned())));
        rules(ARROWS).expect("rules").breaches(&tree)
    }

    #[test]
    fn arrows_that_are_written_are_allowed() {
        let extra = [
            ("client", "use crate::source::S;"),
            ("token", "use crate::error::E;"),
            ("adc::file", "use crate::client;"),
        ];
        assert_eq!(breaches(&extra), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_that_is_not_written_is_a_breach() {
        assert_eq!(
            breaches(&[("source", "\nuse crate::client::C;")]),
            ["src/source.rs:2 uses src/client.rs: no arrow allows this"]
        );
    }

    #[test]
    fn an_arrow_is_not_followed_to_the_next_one() {
        assert_eq!(breaches(&[("client", "use crate::error::E;")]).len(), 1);
    }

    #[test]
    fn a_wrong_arrow_through_a_re_export_is_a_breach() {
        let extra = [("", "pub use client::C;"), ("client", "pub struct C;"), ("source", "use crate::C;")];
        assert_eq!(breaches(&extra), ["src/source.rs:1 uses src/client.rs: no arrow allows this"]);
    }

    #[test]
    fn a_file_without_a_line_is_a_breach() {
        assert_eq!(breaches(&[("other", "")]), ["src/other.rs has no line in the arrows"]);
    }

    #[test]
    fn a_line_for_a_module_that_does_not_exist_is_a_breach() {
        let rules = rules("a ->\nb -> a").expect("rules");
        let tree = Tree::new([(path("b"), String::new())]);
        assert_eq!(rules.breaches(&tree), ["the arrows name `a`, which doesn't exist"]);
    }

    #[test]
    fn a_banned_crate_is_a_breach_however_it_is_named() {
        for text in ["use tonic::{Code, transport::Channel};", "fn f(x: ::tonic::transport::Channel) {}"] {
            assert_eq!(breaches(&[("error", text)]).len(), 1, "{text}");
        }
        assert_eq!(
            breaches(&[("error", "use tonic::Code;"), ("adc", "use tonic::transport;")]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_exception_covers_one_place() {
        let twice =
            breaches(&[("client::builder", "use crate::adc;\nuse crate::adc::file;"), ("adc::file", "")]);
        assert_eq!(twice, ["the exception `src/client/builder.rs -> adc` is for one place, but there are 2"]);
        assert_eq!(breaches(&[("client::builder", "")]).len(), 1, "an exception that nothing needs");
        assert_eq!(breaches(&[("client::call", "use crate::adc;")]).len(), 1, "another file");
    }

    #[test]
    fn arrows_in_a_circle_are_refused() {
        let problem = rules("a -> b\nb -> a").expect_err("a circle");
        assert_eq!(problem, "`a -> b`: `b` has no earlier line");
    }

    #[test]
    fn a_second_line_adds_to_a_group() {
        let rules = rules("g = a\ng = b\ng -> g").expect("rules");
        assert!(rules.allows(&path("a"), &path("b")));
    }

    #[test]
    fn lines_that_mean_nothing_are_refused() {
        assert!(rules("a => b").is_err());
        assert!(rules("a ->\na ->").is_err());
        assert!(Rules::from_page("# Page").is_err());
    }
}
