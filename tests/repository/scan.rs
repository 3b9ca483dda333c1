//! Reads what one file declares, imports and uses, outside of its tests.

use crate::tokens::{Token, tokens};

/// Names from the crate's root down, or as written: `["client", "call"]`.
pub(crate) type Path = Vec<String>;

/// The path that `::` separates. An empty text is the crate's root.
pub(crate) fn path(text: &str) -> Path {
    text.trim().split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The first name of a path that starts with `::`.
pub(crate) const EXTERNAL: &str = "";

/// What one file contains. Modules are relative to the file's own.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) uses: Vec<Use>,
    pub(crate) imports: Vec<Import>,
    /// Items that a module defines, as paths.
    pub(crate) items: Vec<Path>,
    /// Modules with a body in this file.
    pub(crate) inline_modules: Vec<Path>,
    /// Modules that exist only in tests, with or without a body here.
    pub(crate) test_modules: Vec<Path>,
}

/// A path that stands in the code.
#[derive(Debug, PartialEq)]
pub(crate) struct Use {
    pub(crate) module: Path,
    pub(crate) path: Path,
    pub(crate) line: usize,
}

/// What a `use` item brings into its module.
#[derive(Debug, PartialEq)]
pub(crate) struct Import {
    pub(crate) module: Path,
    pub(crate) path: Path,
    pub(crate) name: ImportedName,
}

#[derive(Debug, PartialEq)]
pub(crate) enum ImportedName {
    One(String),
    All,
}

pub(crate) fn scan(source: &str) -> Scan {
    let tokens = tokens(source);
    let mut scanner =
        Scanner { tokens: &tokens, at: 0, depth: 0, open_modules: Vec::new(), scan: Scan::default() };
    while scanner.at < tokens.len() {
        scanner.step();
    }
    scanner.scan
}

struct Scanner<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    depth: usize,
    /// The inline modules around `at`, each with the depth of its body.
    open_modules: Vec<(String, usize)>,
    scan: Scan,
}

impl Scanner<'_> {
    fn step(&mut self) {
        match self.text(0) {
            "{" => self.depth += 1,
            "}" => self.close(),
            "#" => return self.attribute(),
            "use" => return self.use_item(),
            "mod" => return self.module_item(),
            "in" if self.text_before(1) == "(" => return self.visibility(),
            "const" if self.text(1) == "fn" => {}
            "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static" => self.item(1),
            "macro_rules" => self.item(2),
            _ if self.starts_path() => return self.path(),
            _ => {}
        }
        self.at += 1;
    }

    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn text_before(&self, back: usize) -> &str {
        self.at.checked_sub(back).map_or("", |at| self.tokens[at].text)
    }

    fn is_word(&self, ahead: usize) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(Token::is_word)
    }

    fn module(&self) -> Path {
        self.open_modules.iter().map(|(name, _)| name.clone()).collect()
    }

    fn at_module_level(&self) -> bool {
        self.depth == self.open_modules.last().map_or(0, |(_, depth)| *depth)
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.open_modules.retain(|(_, depth)| *depth <= self.depth);
    }

    fn item(&mut self, name_ahead: usize) {
        if self.at_module_level() && self.is_word(name_ahead) {
            let mut item = self.module();
            item.push(self.text(name_ahead).to_owned());
            self.scan.items.push(item);
        }
    }

    fn module_item(&mut self) {
        if self.text(2) == "{" {
            self.depth += 1;
            self.open_modules.push((self.text(1).to_owned(), self.depth));
            self.scan.inline_modules.push(self.module());
        }
        self.at += 3;
    }

    /// Skips an attribute, and the item under it if that exists only in tests.
    fn attribute(&mut self) {
        let is_inner = self.text(1) == "!";
        self.at += 1 + usize::from(is_inner);
        let attribute = self.group();
        if !is_for_tests(attribute) {
            return;
        }
        if is_inner {
            self.scan = Scan::default();
            self.at = self.tokens.len();
            return;
        }
        while self.text(0) == "#" {
            self.at += 1;
            self.group();
        }
        self.skip_test_item();
    }

    fn skip_test_item(&mut self) {
        let start = self.at;
        while !matches!(self.text(0), "" | ";" | "{" | "}") {
            self.group();
        }
        let words = self.tokens[start..self.at].iter().map(|token| token.text);
        if let Some(name) = words.skip_while(|word| *word != "mod").nth(1) {
            let mut module = self.module();
            module.push(name.to_owned());
            self.scan.test_modules.push(module);
        }
        if self.text(0) != "}" {
            self.group();
        }
    }

    /// Moves past one token, or past a whole group if it opens one.
    fn group(&mut self) -> &[Token<'_>] {
        let start = self.at;
        let mut depth = 0;
        loop {
            match self.text(0) {
                "" => break,
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth <= 0 {
                break;
            }
        }
        &self.tokens[start..self.at]
    }

    fn use_item(&mut self) {
        self.at += 1;
        self.use_tree(Vec::new());
    }

    fn use_tree(&mut self, mut path: Path) {
        loop {
            match self.text(0) {
                "::" => {
                    path.push(EXTERNAL.to_owned());
                    self.at += 1;
                }
                "{" => return self.use_group(&path),
                "*" => {
                    self.at += 1;
                    return self.import(path, ImportedName::All);
                }
                _ if self.is_word(0) => {
                    path.push(self.text(0).to_owned());
                    self.at += 1;
                    if self.text(0) != "::" {
                        return self.use_leaf(path);
                    }
                    self.at += 1;
                }
                _ => return,
            }
        }
    }

    fn use_group(&mut self, path: &Path) {
        self.at += 1;
        while !matches!(self.text(0), "}" | "") {
            self.use_tree(path.clone());
            if self.text(0) == "," {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    fn use_leaf(&mut self, mut path: Path) {
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if self.text(0) == "as" {
            name = self.text(1).to_owned();
            self.at += 2;
        }
        self.import(path, ImportedName::One(name));
    }

    fn import(&mut self, path: Path, name: ImportedName) {
        let line = self.tokens[self.at - 1].line;
        self.scan.uses.push(Use { module: self.module(), path: path.clone(), line });
        if self.at_module_level() {
            self.scan.imports.push(Import { module: self.module(), path, name });
        }
    }

    /// Skips the path in `pub(in path)`.
    fn visibility(&mut self) {
        while !matches!(self.text(0), ")" | "") {
            self.at += 1;
        }
    }

    fn starts_path(&self) -> bool {
        let is_method = self.text_before(1) == ".";
        let is_external = self.text(0) == "::" && self.is_word(1) && self.text_before(1) != ">";
        is_external || self.is_word(0) && self.text(1) == "::" && !is_method
    }

    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let mut path = vec![if self.is_word(0) { self.text(0) } else { EXTERNAL }.to_owned()];
        self.at += usize::from(self.is_word(0));
        while self.text(0) == "::" && self.is_word(1) {
            path.push(self.text(1).to_owned());
            self.at += 2;
        }
        self.scan.uses.push(Use { module: self.module(), path, line });
    }
}

/// Whether an attribute is `cfg(test)`, alone, in an `all(…)`, or with the builds for fuzzing.
fn is_for_tests(attribute: &[Token<'_>]) -> bool {
    let words: Vec<&str> = attribute.iter().filter(|token| token.is_word()).map(|token| token.text).collect();
    matches!(words[..], ["cfg", "test"] | ["cfg", "all", "test", ..] | ["cfg", "any", "test", "fuzzing"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(source: &str) -> Vec<String> {
        scan(source).uses.iter().map(|used| used.path.join("::")).collect()
    }

    #[test]
    fn use_trees_are_flattened() {
        assert_eq!(
            paths("use crate::a::{self, b, c::{D, *}};"),
            ["crate::a", "crate::a::b", "crate::a::c::D", "crate::a::c"]
        );
    }

    #[test]
    fn inline_paths_are_found() {
        let source = "fn f(x: &crate::a::B) -> super::C { d::e(); x.f::<g::H>() }";
        assert_eq!(paths(source), ["crate::a::B", "super::C", "d::e", "g::H"]);
    }

    #[test]
    fn paths_of_other_crates_are_marked() {
        assert_eq!(
            paths("use ::http::Uri; fn f() { ::http::g(Vec::<u8>::new()) }"),
            ["::http::Uri", "::http::g", "Vec"]
        );
    }

    #[test]
    fn visibility_is_no_use() {
        assert_eq!(paths("pub(in crate::a) struct S; pub fn f() {}"), Vec::<String>::new());
    }

    #[test]
    fn tests_are_left_out() {
        let source = "#[cfg(test)] mod tests { use crate::a::B; }
            #[cfg(all(test, feature = \"x\"))] #[path = \"y\"] mod support;
            #[cfg(test)] fn f() { crate::c::d() }
            #[cfg(not(test))] fn g() { crate::e::f() }
            use crate::g;";
        assert_eq!(paths(source), ["crate::e::f", "crate::g"]);
        assert_eq!(scan(source).test_modules, [["tests"], ["support"]]);
        assert_eq!(paths("#![cfg(test)] use crate::a;"), Vec::<String>::new());
    }

    #[test]
    fn uses_know_their_inline_module() {
        let scan = scan("mod a { mod b { use super::c; } use d::e; } use f::g;");
        let modules: Vec<String> = scan.uses.iter().map(|used| used.module.join("::")).collect();
        assert_eq!(modules, ["a::b", "a", ""]);
    }

    #[test]
    fn imports_have_their_new_name() {
        let scan = scan("use a::b as c; fn f() { use d::e; }");
        assert_eq!(scan.imports.len(), 1, "an import in a function is not the module's: {scan:?}");
        assert_eq!(scan.imports[0].name, ImportedName::One("c".to_owned()));
    }

    #[test]
    fn only_the_modules_own_items_are_its_items() {
        let scan = scan("pub struct A; impl A { fn f() {} } mod b { pub const fn c() {} } macro_rules! d {}");
        let items: Vec<String> = scan.items.iter().map(|item| item.join("::")).collect();
        assert_eq!(items, ["A", "b::c", "d"]);
    }
}
