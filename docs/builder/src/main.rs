//! `book ROOT OUT`: builds the book that ROOT/book.toml describes into OUT with mdBook, and follows each link in it: a page or
//! a place that is not there is an error, as is a page of the sources that the book does not have.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use mdbook_driver::MDBook;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A page of the book: the places in it, and where its links lead.
struct Page {
    places: BTreeSet<String>,
    links: Vec<String>,
}

fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(root), Some(out)) = (args.next(), args.next()) else { bail!("usage: book ROOT OUT") };
    let mut book = MDBook::load(&root).with_context(|| format!("{} cannot be read", root.display()))?;
    book.config.build.build_dir = std::path::absolute(&out)?;
    book.build().context("the book cannot be built")?;
    let mut pages = BTreeMap::new();
    read_pages(&out, &out, &mut pages)?;
    let sources = fs::canonicalize(root.join(&book.config.book.src))?;
    let mut wrong = Vec::new();
    for source in markdown(&sources)? {
        let page = source.strip_prefix(&sources)?.with_extension("html");
        if !page.ends_with("SUMMARY.html") && !pages.contains_key(&page) {
            wrong.push(format!("{}: the book does not have it", source.display()));
        }
    }
    let mut links = 0;
    for (path, page) in &pages {
        for link in &page.links {
            links += 1;
            if let Err(why) = follow(&out, &pages, path, link) {
                wrong.push(format!("{}: {link}: {why}", path.display()));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    println!("{} pages, {links} links: {}", pages.len(), out.display());
    Ok(())
}

fn markdown(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.extension() {
            _ if path.is_dir() => found.append(&mut markdown(&path)?),
            Some(extension) if extension == "md" => found.push(path),
            _ => {}
        }
    }
    Ok(found)
}

fn read_pages(out: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, Page>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_pages(out, &path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            let text = fs::read_to_string(&path)?;
            let page = Page {
                places: attributes(&text, " id=\"").collect(),
                links: attributes(&text, " href=\"").chain(attributes(&text, " src=\"")).collect(),
            };
            pages.insert(path.strip_prefix(out)?.to_path_buf(), page);
        }
    }
    Ok(())
}

/// Values of an attribute, as mdBook writes it.
fn attributes<'t>(text: &'t str, name: &'static str) -> impl Iterator<Item = String> + 't {
    let value = |rest: &str| rest.split('"').next().unwrap_or_default().replace("&amp;", "&");
    text.split(name).skip(1).map(value)
}

fn follow(out: &Path, pages: &BTreeMap<PathBuf, Page>, from: &Path, link: &str) -> Result<(), &'static str> {
    if link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:") {
        return Ok(());
    }
    let (path, place) = link.split_once('#').unwrap_or((link, ""));
    let mut to = from.parent().unwrap_or(Path::new("")).to_path_buf();
    if path.is_empty() {
        to = from.to_path_buf();
    }
    // The page for what is not found names files from the top.
    if path.starts_with('/') {
        to = PathBuf::new();
    }
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => to.push(name),
            Component::ParentDir if !to.pop() => return Err("leads out of the book"),
            _ => {}
        }
    }
    if out.join(&to).is_dir() {
        to.push("index.html");
    }
    match pages.get(&to) {
        Some(page) if place.is_empty() || page.places.contains(place) => Ok(()),
        Some(_) => Err("the page has no such place"),
        None if out.join(&to).is_file() => Ok(()),
        None => Err("there is no such file"),
    }
}
