//! The structure of the code is what ARCHITECTURE says: a module imports only from those above it in src/lib.rs, and only
//! `storage` knows the database.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each file below `src` with its text, without unit tests.
fn sources() -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut directories = vec![root().join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
                sources.push((path.strip_prefix(root().join("src")).unwrap().into(), code));
            }
        }
    }
    assert!(sources.len() > 50, "only {} files", sources.len());
    sources
}

/// The top-level modules in the order of src/lib.rs: from the ground up.
fn modules() -> Vec<String> {
    fs::read_to_string(root().join("src/lib.rs"))
        .unwrap()
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("pub ")
                .strip_prefix("mod ")?
                .strip_suffix(';')
        })
        .map(str::to_owned)
        .collect()
}

/// The top-level modules that are named behind `crate::`, also in a list of several.
fn imports(code: &str) -> Vec<String> {
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line.trim(), " "])
        .collect();
    let mut found = Vec::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            None => found.push(word(after)),
            Some(list) => {
                let mut depth = 0;
                let mut is_name = true;
                for (at, character) in list.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' => is_name = true,
                        _ if is_name && depth == 0 && character.is_ascii_lowercase() => {
                            found.push(word(&list[at..]));
                            is_name = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|character| character.is_ascii_alphanumeric() || *character == '_')
        .collect()
}

#[test]
fn each_module_imports_only_from_those_above_it_in_lib_rs() {
    let modules = modules();
    assert!(modules.len() > 8, "{modules:?}");
    let place = |name: &str| modules.iter().position(|module| module == name);
    let mut counted = 0;
    for (path, code) in sources() {
        let first = path.iter().next().unwrap().to_str().unwrap();
        let Some(own) = place(first.trim_end_matches(".rs")) else {
            assert_eq!(first, "lib.rs");
            continue;
        };
        for import in imports(&code) {
            let Some(imported) = place(&import) else {
                panic!("{}: crate::{import} is not a module", path.display());
            };
            assert!(
                imported <= own,
                "{}: {import} is below it in src/lib.rs, not above",
                path.display()
            );
            counted += 1;
        }
    }
    assert!(counted > 100, "only {counted} imports");
}

#[test]
fn only_storage_names_the_database_driver_or_contains_sql() {
    let statements = ["SELECT ", "INSERT ", "DELETE ", "UPDATE ", "PRAGMA "];
    for (path, code) in sources() {
        let is_storage = path.starts_with("storage") || path == Path::new("storage.rs");
        for (number, line) in code.lines().enumerate() {
            let has_sql = statements
                .iter()
                .any(|statement| line.contains(&format!("\"{statement}")));
            assert!(
                is_storage || !(has_sql || line.contains("rusqlite")),
                "{}:{}: {line}",
                path.display(),
                number + 1
            );
        }
    }
}

#[test]
fn the_daemon_never_touches_reports_and_the_admins_tool_never_touches_http() {
    for (path, code) in sources() {
        let imports = imports(&code);
        let is_of = |module: &str| {
            path.starts_with(module) || path == Path::new(module).with_extension("rs")
        };
        if is_of("capture") || is_of("cli/daemon") {
            for module in ["reports", "render", "import"] {
                assert!(
                    !imports.iter().any(|import| import == module),
                    "{}: {module}",
                    path.display()
                );
            }
        }
        if is_of("cli/admin") {
            for name in ["tokio", "hyper"] {
                assert!(!code.contains(name), "{}: {name}", path.display());
            }
        }
        if is_of("cli/admin") || is_of("render") {
            let is_capture = imports.iter().any(|import| import == "capture");
            assert!(!is_capture, "{}: capture", path.display());
        }
    }
}
