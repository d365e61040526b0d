//! The tables of `history.db`. One that is damaged is put aside; what can still be read of it goes into a new one.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use vrift_protocol::admin::PathBytes;
use vrift_protocol::history::{ProjectStats, RunDetail, RunRow, Span, Touched};

/// `PRAGMA user_version` of this layout.
const LAYOUT: i64 = 2;
/// Runs that are remembered.
const RUNS_MAX: i64 = 10_000;
/// Runs whose processes and files are remembered.
const DETAILED_MAX: i64 = 200;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, workspace TEXT NOT NULL, command BLOB NOT NULL, cwd BLOB NOT NULL,
    began_ns INTEGER NOT NULL, elapsed_ms INTEGER NOT NULL, exit_code INTEGER NOT NULL, processes INTEGER NOT NULL,
    files_changed INTEGER NOT NULL, new_bytes INTEGER NOT NULL, store_bytes INTEGER NOT NULL,
    unlisted INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS spans (
    run INTEGER NOT NULL, pid INTEGER NOT NULL, command BLOB NOT NULL, began_us INTEGER NOT NULL,
    elapsed_us INTEGER NOT NULL, open_ended INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS touched (run INTEGER NOT NULL, path BLOB NOT NULL, bytes INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS spans_run ON spans (run);
CREATE INDEX IF NOT EXISTS touched_run ON touched (run);
";
/// What layout 1 did not have.
const SINCE_LAYOUT_1: &str = "
ALTER TABLE runs ADD COLUMN unlisted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spans ADD COLUMN open_ended INTEGER NOT NULL DEFAULT 0;
";
const RUN_COLUMNS: &str = "number, workspace, command, cwd, began_ns, elapsed_ms, exit_code, processes, \
    files_changed, new_bytes, store_bytes, unlisted";

/// Device and inode.
type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// The file, opened when it is first used.
pub struct Db {
    path: PathBuf,
    open: Option<(Connection, Option<Identity>)>,
    /// What happened to the file, for people; nobody was told yet.
    pub notice: Option<String>,
}

impl Db {
    pub fn new(path: PathBuf) -> Db {
        Db { path, open: None, notice: None }
    }

    /// Until it is used again.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Does `action`; on a file that turns out to be damaged, again on a new one.
    pub fn with<T>(
        &mut self,
        action: impl Fn(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        // Moved away or put in its place by somebody: what is there counts.
        if self.open.as_ref().is_none_or(|(_, file)| *file != identity(&self.path)) {
            self.open = None;
            // An empty file is a database for SQLite, but never what was left there.
            let is_cut = std::fs::metadata(&self.path).is_ok_and(|found| found.is_file() && found.len() == 0);
            let db = match open(&self.path) {
                _ if is_cut => self.begin_anew("damaged")?,
                Err(error) if is_damage(&error) => self.begin_anew("damaged")?,
                Err(error) if is_later(&error) => self.begin_anew("later")?,
                opened => opened?,
            };
            self.open = Some((db, identity(&self.path)));
        }
        let Some((db, _)) = &mut self.open else { return Err(rusqlite::Error::InvalidQuery) };
        match action(db) {
            Err(error) if is_damage(&error) => {
                let mut fresh = self.begin_anew("damaged")?;
                let result = action(&mut fresh);
                self.open = Some((fresh, identity(&self.path)));
                result
            }
            result => result,
        }
    }

    /// Puts the file aside with `why` behind its name.
    fn begin_anew(&mut self, why: &str) -> rusqlite::Result<Connection> {
        self.open = None;
        let aside = self.path.with_extension(format!("db.{why}"));
        let failed = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
        std::fs::rename(&self.path, &aside).map_err(failed)?;
        for suffix in ["-wal", "-shm"] {
            let beside = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
            let _ = std::fs::rename(beside(&self.path), beside(&aside));
        }
        let mut fresh = open(&self.path)?;
        let kept = salvage(&aside, &mut fresh);
        let text = format!(
            "{} {}: it was begun anew with {kept} of its runs; the old one is {}",
            self.path.display(),
            if why == "later" { "is a later version's" } else { "was damaged" },
            aside.display()
        );
        tracing::warn!("{text}");
        self.notice = Some(text);
        Ok(fresh)
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
        // Something else is in its place: tables of other columns.
        Some(ErrorCode::Unknown) => true,
        _ => matches!(error, rusqlite::Error::InvalidColumnType(..)),
    }
}

/// A layout that a later version made.
fn is_later(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::IntegralValueOutOfRange(0, layout) if *layout > LAYOUT)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // A power cut may cost the last runs of the table, and nothing else: not worth a flush for each.
    db.pragma_update(None, "synchronous", "NORMAL")?;
    let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    let layout: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if layout > LAYOUT {
        return Err(rusqlite::Error::IntegralValueOutOfRange(0, layout));
    }
    if found != "ok" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(found),
        ));
    }
    let older = if layout == 1 { SINCE_LAYOUT_1 } else { "" };
    db.execute_batch(&format!("BEGIN; {TABLES} {older} PRAGMA user_version = {LAYOUT}; COMMIT;"))?;
    Ok(db)
}

/// Runs of a damaged file, as far as they can be read; how many.
fn salvage(damaged: &Path, to: &mut Connection) -> usize {
    let read = || -> rusqlite::Result<Vec<RunRow>> {
        let from = Connection::open(damaged)?;
        let mut rows = Vec::new();
        let older = RUN_COLUMNS.replace("unlisted", "0");
        let prepare = |columns: &str| from.prepare(&format!("SELECT {columns} FROM runs ORDER BY number"));
        let mut select = prepare(RUN_COLUMNS).or_else(|_| prepare(&older))?;
        for row in select.query_map([], run_of)? {
            match row {
                Ok(row) => rows.push(row),
                Err(_) => break,
            }
        }
        Ok(rows)
    };
    let rows = read().unwrap_or_default();
    let mut write = || -> rusqlite::Result<usize> {
        let all = to.transaction()?;
        for row in &rows {
            insert_run(&all, row, Some(row.number))?;
        }
        all.commit()?;
        Ok(rows.len())
    };
    write().unwrap_or(0)
}

fn insert_run(db: &Connection, row: &RunRow, number: Option<i64>) -> rusqlite::Result<i64> {
    // An argument has no NUL in it.
    let command: Vec<&[u8]> = row.command.iter().map(|part| &part.0[..]).collect();
    let insert = format!("INSERT INTO runs ({RUN_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    db.prepare_cached(&insert)?.execute(params![
        number,
        row.workspace,
        command.join(&0),
        row.cwd.0,
        row.began_ns,
        row.elapsed_ms.cast_signed(),
        row.exit_code,
        row.processes.cast_signed(),
        row.files_changed.cast_signed(),
        row.new_bytes.cast_signed(),
        row.store_bytes.cast_signed(),
        row.unlisted.cast_signed(),
    ])?;
    Ok(db.last_insert_rowid())
}

/// A run with its processes and files; the oldest go when there are too many.
pub fn insert(
    db: &mut Connection,
    row: &RunRow,
    spans: &[Span],
    touched: &[Touched],
) -> rusqlite::Result<()> {
    let all = db.transaction()?;
    let number = insert_run(&all, row, None)?;
    {
        let mut insert = all.prepare_cached("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?)")?;
        for span in spans {
            let (began, elapsed) = (span.began_us.cast_signed(), span.elapsed_us.cast_signed());
            insert.execute(params![number, span.pid, span.command.0, began, elapsed, span.open_ended])?;
        }
        let mut insert = all.prepare_cached("INSERT INTO touched VALUES (?, ?, ?)")?;
        for file in touched {
            insert.execute(params![number, file.path.0, file.bytes.cast_signed()])?;
        }
    }
    all.prepare_cached("DELETE FROM runs WHERE number <= ?")?.execute([number - RUNS_MAX])?;
    for table in ["spans", "touched"] {
        let delete = format!("DELETE FROM {table} WHERE run <= ?");
        all.prepare_cached(&delete)?.execute([number - DETAILED_MAX])?;
    }
    all.commit()
}

fn run_of(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let bytes = |at: usize| row.get::<_, Vec<u8>>(at);
    let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
    Ok(RunRow {
        number: row.get(0)?,
        workspace: row.get(1)?,
        command: bytes(2)?.split(|byte| *byte == 0).map(PathBytes::from).collect(),
        cwd: PathBytes(bytes(3)?),
        began_ns: row.get(4)?,
        elapsed_ms: number(5)?,
        exit_code: row.get(6)?,
        processes: number(7)?,
        files_changed: number(8)?,
        new_bytes: number(9)?,
        store_bytes: number(10)?,
        unlisted: number(11)?,
    })
}

/// The last `limit`, oldest first.
pub fn runs(db: &mut Connection, workspace: Option<&str>, limit: u64) -> rusqlite::Result<Vec<RunRow>> {
    let mut select = db.prepare_cached(&format!(
        "SELECT {RUN_COLUMNS} FROM runs WHERE ?1 IS NULL OR workspace = ?1 ORDER BY number DESC LIMIT ?2"
    ))?;
    let mut rows =
        select.query_map(params![workspace, limit.cast_signed()], run_of)?.collect::<Result<Vec<_>, _>>()?;
    rows.reverse();
    Ok(rows)
}

/// One run, or the last.
pub fn detail(
    db: &mut Connection,
    workspace: Option<&str>,
    number: Option<i64>,
) -> rusqlite::Result<Option<RunDetail>> {
    let run = db
        .query_row(
            &format!(
                "SELECT {RUN_COLUMNS} FROM runs WHERE (?1 IS NULL OR workspace = ?1) AND (?2 IS NULL OR \
                 number = ?2) ORDER BY number DESC LIMIT 1"
            ),
            params![workspace, number],
            run_of,
        )
        .optional()?;
    let Some(run) = run else { return Ok(None) };
    let mut select = db.prepare(
        "SELECT pid, command, began_us, elapsed_us, open_ended FROM spans WHERE run = ? ORDER BY began_us, pid",
    )?;
    let spans = select.query_map([run.number], |row| {
        Ok(Span {
            pid: row.get(0)?,
            command: PathBytes(row.get(1)?),
            began_us: row.get::<_, i64>(2)?.cast_unsigned(),
            elapsed_us: row.get::<_, i64>(3)?.cast_unsigned(),
            open_ended: row.get(4)?,
        })
    })?;
    let spans = spans.collect::<Result<_, _>>()?;
    let mut select = db.prepare("SELECT path, bytes FROM touched WHERE run = ? ORDER BY path")?;
    let touched = select.query_map([run.number], |row| {
        Ok(Touched { path: PathBytes(row.get(0)?), bytes: row.get::<_, i64>(1)?.cast_unsigned() })
    })?;
    let touched = touched.collect::<Result<_, _>>()?;
    Ok(Some(RunDetail { run, spans, touched }))
}

/// Sums over the runs of each workspace.
pub fn sums(db: &mut Connection) -> rusqlite::Result<HashMap<String, ProjectStats>> {
    let mut select = db.prepare_cached(
        "SELECT workspace, count(*), sum(exit_code != 0), sum(elapsed_ms), sum(new_bytes) FROM runs GROUP BY 1",
    )?;
    let rows = select.query_map([], |row| {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let sums = ProjectStats {
            runs: number(1)?,
            failed_runs: number(2)?,
            elapsed_ms: number(3)?,
            new_bytes: number(4)?,
            ..ProjectStats::default()
        };
        Ok((row.get(0)?, sums))
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workspace: &str, exit_code: i32) -> RunRow {
        let command = vec![PathBytes(b"make".to_vec()), PathBytes(b"\xff x".to_vec())];
        RunRow { workspace: workspace.into(), command, exit_code, elapsed_ms: 5, ..RunRow::default() }
    }

    #[test]
    fn runs_are_given_back_as_they_were_and_the_oldest_go() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(TABLES).unwrap();
        let span = Span { pid: 7, command: b"cc"[..].into(), began_us: 1, elapsed_us: 2, open_ended: true };
        let file = Touched { path: PathBytes(b"a\xff".to_vec()), bytes: u64::from(u32::MAX) + 1 };
        let (spans, files) = (std::slice::from_ref(&span), std::slice::from_ref(&file));
        insert(&mut db, &row("one", 0), spans, files).unwrap();
        insert(&mut db, &row("two", 1), &[], &[]).unwrap();
        assert_eq!(runs(&mut db, None, 10).unwrap().len(), 2);
        assert_eq!(runs(&mut db, None, 1).unwrap()[0], RunRow { number: 2, ..row("two", 1) });
        let found = detail(&mut db, Some("one"), None).unwrap().unwrap();
        assert_eq!((found.run.number, found.spans, found.touched), (1, vec![span], vec![file]));
        assert!(detail(&mut db, None, Some(9)).unwrap().is_none());
        let sums = sums(&mut db).unwrap();
        assert_eq!((sums["two"].runs, sums["two"].failed_runs, sums["one"].elapsed_ms), (1, 1, 5));
        db.execute("UPDATE sqlite_sequence SET seq = ?", [RUNS_MAX]).unwrap();
        insert(&mut db, &row("three", 0), &[], &[]).unwrap();
        let numbers: Vec<_> = runs(&mut db, None, 10).unwrap().iter().map(|row| row.number).collect();
        assert_eq!(numbers, [2, RUNS_MAX + 1]);
        assert!(detail(&mut db, Some("one"), None).unwrap().is_none());
    }

    #[test]
    fn a_damaged_file_is_begun_anew_with_what_can_be_read_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let mut db = Db::new(path.clone());
        for _ in 0..300 {
            db.with(|db| insert(db, &row("one", 0), &[], &[])).unwrap();
        }
        drop(db);
        let mut bytes = std::fs::read(&path).unwrap();
        let len = bytes.len();
        bytes[len * 4 / 5..].fill(0x55);
        std::fs::write(&path, &bytes).unwrap();
        let mut db = Db::new(path.clone());
        let kept = db.with(|db| runs(db, None, 1000)).unwrap().len();
        assert!((1..300).contains(&kept), "{kept}");
        assert!(db.notice.take().unwrap().contains("damaged"));
        drop(db);
        std::fs::write(&path, "no database at all, but a text that somebody wrote").unwrap();
        let mut db = Db::new(path);
        db.with(|db| insert(db, &row("two", 0), &[], &[])).unwrap();
        assert_eq!(db.with(|db| runs(db, None, 10)).unwrap().len(), 1);
        assert!(db.notice.is_some());
    }

    #[test]
    fn a_file_of_an_earlier_layout_goes_on_and_one_of_a_later_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let earlier = Connection::open(&path).unwrap();
        let tables = TABLES
            .replace(",\n    unlisted INTEGER NOT NULL DEFAULT 0", "")
            .replace(", open_ended INTEGER NOT NULL DEFAULT 0", "");
        assert!(!tables.contains("unlisted") && !tables.contains("open_ended"), "{tables}");
        let run = "INSERT INTO runs VALUES (1, 'one', x'00', x'00', 0, 5, 0, 1, 0, 0, 0)";
        let span = "INSERT INTO spans VALUES (1, 7, x'00', 1, 2)";
        earlier.execute_batch(&format!("{tables} {run}; {span}; PRAGMA user_version = 1;")).unwrap();
        drop(earlier);
        let mut db = Db::new(path.clone());
        let lasting = Span { open_ended: true, ..Span::default() };
        db.with(|db| insert(db, &row("two", 0), std::slice::from_ref(&lasting), &[])).unwrap();
        let found = |db: &mut Db, number| db.with(|db| detail(db, None, Some(number))).unwrap().unwrap();
        assert_eq!((found(&mut db, 1).spans[0].pid, found(&mut db, 1).spans[0].open_ended), (7, false));
        assert_eq!((found(&mut db, 2).spans, db.notice.is_none()), (vec![lasting], true));
        db.with(|db| db.pragma_update(None, "user_version", LAYOUT + 7)).unwrap();
        drop(db);
        let mut db = Db::new(path.clone());
        assert_eq!(db.with(|db| runs(db, None, 10)).unwrap().len(), 2);
        assert!(
            db.notice.take().unwrap().contains("is a later version's: it was begun anew with 2 of its runs")
        );
        assert!(path.with_extension("db.later").exists());
        drop(db);
        std::fs::write(&path, "").unwrap();
        let mut db = Db::new(path);
        assert_eq!(db.with(|db| runs(db, None, 10)).unwrap().len(), 0);
        assert!(db.notice.unwrap().contains("was damaged"));
    }
}
