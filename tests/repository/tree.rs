//! The modules of one crate: which file contains what, and which file a path leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FilePath;

use crate::scan::{EXTERNAL, Import, ImportedName, Path, Scan, Use, scan};

/// A crate's files by module. The crate's root is the empty path.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<Path, Scan>,
    modules: BTreeSet<Path>,
    items: BTreeSet<Path>,
    /// By module and new name.
    imports: BTreeMap<Path, Import>,
    /// By module.
    glob_imports: BTreeMap<Path, Vec<Import>>,
}

/// Where a path leads.
#[derive(Debug, PartialEq)]
pub(crate) enum Target {
    /// A module of this crate, which may be an inline one.
    Module(Path),
    /// Another crate, with the whole path.
    External(Path),
}

/// One file uses what another one defines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dependency {
    pub(crate) from: Path,
    pub(crate) to: Path,
    pub(crate) line: usize,
}

/// One file uses another crate.
#[derive(Debug)]
pub(crate) struct ExternalUse {
    pub(crate) from: Path,
    pub(crate) path: Path,
    pub(crate) line: usize,
}

impl Tree {
    /// Reads the crate whose root is `root` and whose other files are under `folder`.
    pub(crate) fn read(root: &FilePath, folder: &FilePath, skip: &str) -> Self {
        let mut texts = vec![(Path::new(), read(root))];
        for file in crate::files::rust_files(folder) {
            let relative = file.strip_prefix(folder).expect("a file of the folder").with_extension("");
            let module: Path = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if file != root && module.first().is_none_or(|first| first != skip) {
                texts.push((module, read(&file)));
            }
        }
        Self::new(texts)
    }

    pub(crate) fn new(texts: impl IntoIterator<Item = (Path, String)>) -> Self {
        let mut tree = Self::default();
        let mut test_modules = Vec::new();
        for (file, text) in texts {
            let mut scan = scan(&text);
            test_modules.extend(scan.test_modules.iter().map(|module| join(&file, module)));
            tree.modules.insert(file.clone());
            tree.modules.extend(scan.inline_modules.iter().map(|module| join(&file, module)));
            tree.items.extend(scan.items.iter().map(|item| join(&file, item)));
            scan.imports.drain(..).for_each(|import| tree.add_import(&file, import));
            tree.files.insert(file, scan);
        }
        tree.files.retain(|file, _| !test_modules.iter().any(|module| file.starts_with(module)));
        tree
    }

    fn add_import(&mut self, file: &Path, import: Import) {
        let module = join(file, &import.module);
        let import = Import { module: module.clone(), ..import };
        match &import.name {
            ImportedName::One(name) => {
                self.imports.insert(join(&module, std::slice::from_ref(name)), import);
            }
            ImportedName::All => self.glob_imports.entry(module).or_default().push(import),
        }
    }

    /// The files that aren't only for tests.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys()
    }

    /// What files use of each other. A name that a file imports counts where it is imported.
    pub(crate) fn dependencies(&self) -> BTreeSet<Dependency> {
        let mut found = BTreeSet::new();
        for (from, used) in self.uses() {
            if let Target::Module(module) = self.target(from, used) {
                let to = self.file_of(&module);
                if to != *from && !self.repeats_import(from, used) {
                    found.insert(Dependency { from: from.clone(), to, line: used.line });
                }
            }
        }
        found
    }

    pub(crate) fn external_uses(&self) -> Vec<ExternalUse> {
        let external = |(from, used): (&Path, &Use)| match self.target(from, used) {
            Target::External(path) => Some(ExternalUse { from: from.clone(), path, line: used.line }),
            Target::Module(_) => None,
        };
        self.uses().filter_map(external).collect()
    }

    fn uses(&self) -> impl Iterator<Item = (&Path, &Use)> {
        self.files.iter().flat_map(|(file, scan)| scan.uses.iter().map(move |used| (file, used)))
    }

    fn target(&self, file: &Path, used: &Use) -> Target {
        self.resolve(&join(file, &used.module), &used.path)
    }

    fn repeats_import(&self, file: &Path, used: &Use) -> bool {
        let name = [file, &used.module, &used.path[..1]].concat();
        !self.modules.contains(&name)
            && self.imports.get(&name).is_some_and(|import| import.path != used.path)
    }

    fn file_of(&self, module: &[String]) -> Path {
        let parents = (0..=module.len()).rev().map(|length| &module[..length]);
        parents.into_iter().find(|parent| self.files.contains_key(*parent)).unwrap_or_default().to_vec()
    }

    /// Follows a path, as written in a module, through imports to the module that defines its item.
    fn resolve(&self, module: &[String], path: &[String]) -> Target {
        /// More imports than this in a row lead in a circle.
        const MOST_IMPORTS: usize = 16;

        let (mut module, mut path) = (module.to_vec(), path.to_vec());
        for _ in 0..MOST_IMPORTS {
            let Some(absolute) = self.absolute(&module, &path) else { return external(path) };
            match self.follow(&absolute) {
                Followed::ToModule(module) => return Target::Module(module),
                Followed::ToImport(import, rest) => {
                    module.clone_from(&import.module);
                    path = join(&import.path, rest);
                }
            }
        }
        external(path)
    }

    /// The path from the crate's root, unless it starts at another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Path> {
        if path.first().is_some_and(|first| first == EXTERNAL) {
            return None;
        }
        let mut module = module.to_vec();
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" => module.clear(),
                "self" => {}
                "super" => drop(module.pop()),
                _ => break,
            }
            rest = after;
        }
        let is_relative = rest.len() == path.len();
        if is_relative && !self.has_name(&module, rest.first()?) {
            return None;
        }
        Some(join(&module, rest))
    }

    fn has_name(&self, module: &[String], name: &str) -> bool {
        let path = join(module, &[name.to_owned()]);
        self.modules.contains(&path) || self.items.contains(&path) || self.imports.contains_key(&path)
    }

    fn follow<'a>(&'a self, absolute: &'a [String]) -> Followed<'a> {
        let mut length = 0;
        while length < absolute.len() && self.modules.contains(&absolute[..=length]) {
            length += 1;
        }
        let (module, rest) = absolute.split_at(length);
        let Some((name, after)) = rest.split_first() else { return Followed::ToModule(module.to_vec()) };
        let named = &absolute[..=length];
        if !self.items.contains(named) {
            if let Some(import) = self.imports.get(named) {
                return Followed::ToImport(import, after);
            }
            if let Some(import) = self.glob_import(module, name) {
                return Followed::ToImport(import, rest);
            }
        }
        Followed::ToModule(module.to_vec())
    }

    /// The import of all names of a module that has this name.
    fn glob_import(&self, module: &[String], name: &str) -> Option<&Import> {
        self.glob_imports.get(module)?.iter().find(|import| {
            self.absolute(&import.module, &import.path).is_some_and(|source| self.has_name(&source, name))
        })
    }
}

enum Followed<'a> {
    ToModule(Path),
    /// An import, and what is left of the path after the imported name.
    ToImport(&'a Import, &'a [String]),
}

fn external(mut path: Path) -> Target {
    path.retain(|name| name != EXTERNAL);
    Target::External(path)
}

fn join(start: &[String], end: &[String]) -> Path {
    [start, end].concat()
}

fn read(file: &FilePath) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::path;

    /// The dependencies of a crate of `(module, text)`, each as `from -> to`.
    fn dependencies(files: &[(&str, &str)]) -> Vec<String> {
        tree(files)
            .dependencies()
            .iter()
            .map(|d| format!("{} -> {}", d.from.join("::"), d.to.join("::")))
            .collect()
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        Tree::new(files.iter().map(|(module, text)| (path(module), (*text).to_owned())))
    }

    #[test]
    fn a_use_is_a_dependency() {
        assert_eq!(dependencies(&[("a", "use crate::b::B;"), ("b", "pub struct B;")]), ["a -> b"]);
    }

    #[test]
    fn an_inline_path_is_a_dependency() {
        assert_eq!(dependencies(&[("a", "fn f() { crate::b::g() }"), ("b", "pub fn g() {}")]), ["a -> b"]);
    }

    #[test]
    fn a_dependency_is_where_a_name_is_imported_and_not_where_it_is_used_again() {
        let files = [("a", "use crate::b::B;\nfn f() { B::new() }"), ("b", "pub struct B;")];
        let found: Vec<usize> = tree(&files).dependencies().iter().map(|found| found.line).collect();
        assert_eq!(found, [1]);
    }

    #[test]
    fn a_path_to_a_re_export_leads_to_the_definition() {
        let files = [
            ("", "mod b; pub use b::c::C;"),
            ("a", "use crate::C;"),
            ("b", "pub mod c;"),
            ("b::c", "pub struct C;"),
        ];
        assert_eq!(dependencies(&files), [" -> b::c", "a -> b::c"]);
    }

    #[test]
    fn a_path_through_a_glob_leads_to_the_definition() {
        let files = [("", "pub use self::b::*;"), ("a", "use crate::B;"), ("b", "pub struct B;")];
        assert_eq!(dependencies(&files), [" -> b", "a -> b"]);
    }

    #[test]
    fn a_path_through_a_facade_in_the_root_leads_to_the_definition() {
        let files =
            [("", "pub mod f { pub use crate::b::B; }"), ("a", "use crate::f::B;"), ("b", "pub struct B;")];
        assert_eq!(dependencies(&files), [" -> b", "a -> b"]);
    }

    #[test]
    fn super_in_an_inline_module_is_the_file() {
        let files = [("a", "mod inline { use super::X; } struct X;"), ("", "")];
        assert_eq!(dependencies(&files), Vec::<String>::new());
    }

    #[test]
    fn a_child_reaches_a_sibling_through_its_parents_import() {
        let files = [("p", "mod a; mod b; use b::B;"), ("p::a", "use super::B;"), ("p::b", "struct B;")];
        assert_eq!(dependencies(&files), ["p -> p::b", "p::a -> p::b"]);
    }

    #[test]
    fn files_for_tests_have_no_dependencies() {
        let files = [("a", "#[cfg(test)] mod tests;"), ("a::tests", "use crate::b::B;"), ("b", "struct B;")];
        assert_eq!(dependencies(&files), Vec::<String>::new());
    }

    #[test]
    fn the_path_of_another_crate_is_complete() {
        let tree = tree(&[("a", "use tonic::transport; fn f() { transport::Channel::new() }")]);
        let paths: Vec<String> = tree.external_uses().iter().map(|used| used.path.join("::")).collect();
        assert_eq!(paths, ["tonic::transport", "tonic::transport::Channel::new"]);
    }

    #[test]
    fn imports_in_a_circle_end() {
        assert_eq!(dependencies(&[("a", "use self::B as C; use self::C as B;")]), Vec::<String>::new());
    }
}
