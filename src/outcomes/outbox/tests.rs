use std::{
    thread,
    time::{Duration, Instant},
};

use flexgate_schemas::Outcome;

use super::*;

fn options(folder: &Path, boot: &str) -> Options {
    Options {
        folder: folder.to_owned(),
        node: "node-a".parse().unwrap(),
        boot: boot.parse().unwrap(),
        cores: 1,
        bytes_max: 64 << 20,
    }
}

/// Two that follow each other have as little in common as those of a gateway with many routes, so that files fill up.
fn outcome(micros: u64) -> Outcome<'static> {
    let (route, path) = match micros % 2 {
        0 => ("0199b0c2-7d11-7a53-b0c9-3a2f1b6f8e10", "/users/48151623/orders"),
        _ => (
            "0199b0c2-80aa-7c41-9f02-5b7d1c9e2f44",
            "/articles/2718/comments/latest",
        ),
    };
    Outcome {
        at: 1_800_000_000_000_000,
        route: Some(route),
        target: Some(&route[24..]),
        method: "GET",
        host: Some(&path[1..]),
        path,
        status: Some(200),
        micros,
        ..Outcome::default()
    }
}

/// The counter and the duration of everything that waits, in the order in which it is shipped.
fn waiting(outbox: &Outbox) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    for line in outbox.lines() {
        let mut after = None;
        while let Some((place, reader)) = outbox.claim(line, after) {
            let mut outcomes = reader.outcomes();
            while let Some(recorded) = outcomes.read() {
                found.push((recorded.outcome.counter, recorded.outcome.micros));
            }
            after = Some(place.number);
        }
    }
    outbox.unclaim();
    found
}

fn numbered(range: Range<u64>) -> Vec<(u64, u64)> {
    range.map(|number| (number, number)).collect()
}

fn append(writer: &mut Writer, range: Range<u64>) {
    for number in range {
        writer.append(&outcome(number), Kept::Row);
    }
}

/// Waits until the keeper has made a file ahead. For that it may let the oldest go, and from then on it lets none go.
fn spare_is_made(outbox: &Outbox) {
    let until = Instant::now() + Duration::from_secs(10);
    while !lock(&outbox.0.ledger).without_spare().is_empty() {
        assert!(Instant::now() < until, "the keeper finds no room");
        thread::yield_now();
    }
}

/// One that is full after four files, which is the least.
fn of_four_files(folder: &Path) -> Outbox {
    let options = Options {
        bytes_max: 8 << 20,
        ..options(folder, "b1")
    };
    Outbox::open(options).unwrap()
}

#[test]
fn what_is_appended_waits_in_order_over_as_many_files_as_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..150_000);
    assert_eq!(waiting(&outbox), numbered(0..150_000));
    assert_eq!((outbox.depth().outcomes, outbox.depth().lost), (150_000, 0));
}

#[test]
fn a_file_that_is_made_ahead_too_late_is_not_written_behind_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    let late = |outbox: &Outbox| {
        spare_is_made(outbox);
        lock(&outbox.0.ledger).take_spare(0).unwrap()
    };
    let before = late(&outbox);
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..1);
    assert!(lock(&outbox.0.ledger).put_spare(0, before).is_some());
    append(&mut writer, 1..150_000);
    assert_eq!(waiting(&outbox), numbered(0..150_000));
}

#[test]
fn who_begins_in_the_middle_of_a_file_reads_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    append(&mut outbox.writer(0).unwrap(), 0..300);
    let (_, reader) = outbox.claim((Place::OWN, 0), None).unwrap();
    let read = |reader: &Reader| {
        let (mut outcomes, mut read) = (reader.outcomes(), Vec::new());
        while let Some(recorded) = outcomes.read() {
            let expected = Outcome {
                counter: recorded.outcome.counter,
                ..outcome(recorded.outcome.counter)
            };
            assert_eq!(*recorded.outcome, expected);
            read.push((recorded.outcome.counter, recorded.outcome.micros));
        }
        read
    };
    for passed in [0, 1, 63, 64, 65, 127, 128, 200, 299, 300] {
        let mut passing = reader.clone();
        passing.pass(passed);
        assert_eq!(read(&passing), numbered(passed.into()..300));
        let mut going = reader.clone();
        if let Some(last) = reader.records().take(passed as usize).last() {
            going.go_to(last.end);
        }
        assert_eq!(read(&going), numbered(passed.into()..300));
    }
}

#[test]
fn what_is_written_meanwhile_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..1);
    let (_, mut reader) = outbox.claim((Place::OWN, 0), None).unwrap();
    let writing = thread::spawn(move || append(&mut writer, 1..10_000));
    let mut next = 0;
    while next < 10_000 {
        let (mut outcomes, mut end) = (reader.outcomes(), None);
        while let Some(recorded) = outcomes.read() {
            assert_eq!((recorded.outcome.counter, recorded.outcome.micros), (next, next));
            next += 1;
            end = Some(recorded.end);
        }
        if let Some(end) = end {
            reader.go_to(end);
        }
    }
    writing.join().unwrap();
}

#[test]
fn a_core_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    assert!(outbox.writer(0).is_some() && outbox.writer(0).is_none() && outbox.writer(1).is_none());
}

#[test]
fn what_a_start_leaves_the_next_one_ships() {
    let folder = tempfile::tempdir().unwrap();
    let first = Outbox::open(options(folder.path(), "b1")).unwrap();
    append(&mut first.writer(0).unwrap(), 0..20_000);
    first.close();
    drop(first);
    let second = Outbox::open(options(folder.path(), "b2")).unwrap();
    append(&mut second.writer(0).unwrap(), 0..10);
    assert_eq!(waiting(&second), [numbered(0..20_000), numbered(0..10)].concat());
}

#[test]
fn a_predecessor_that_is_still_there_keeps_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let first = Outbox::open(options(folder.path(), "b1")).unwrap();
    let mut writer = first.writer(0).unwrap();
    append(&mut writer, 0..10);
    let second = Outbox::open(options(folder.path(), "b2")).unwrap();
    append(&mut writer, 10..20);
    assert!(waiting(&second).is_empty());
    drop((writer, first));
    let taken_over = || waiting(&second).len() == 20;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !taken_over() {
        assert!(std::time::Instant::now() < until, "it is never taken over");
        std::thread::yield_now();
    }
    assert_eq!(waiting(&second), numbered(0..20));
}

#[test]
fn what_is_shipped_is_deleted_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..100_000);
    let (place, reader) = outbox.claim((Place::OWN, 0), None).unwrap();
    let count = u32::try_from(reader.records().count()).unwrap();
    outbox.shipped(place, count);
    assert_eq!(waiting(&outbox), numbered(count.into()..100_000));
    let (place, mut reader) = outbox.claim((Place::OWN, 0), None).unwrap();
    outbox.shipped(place, 7);
    outbox.unclaim();
    reader.pass(7);
    let (_, again) = outbox.claim((Place::OWN, 0), None).unwrap();
    assert_eq!(
        again.count(),
        reader.count(),
        "a file goes on where it was acknowledged"
    );
    drop(writer);
    outbox.close();
}

#[test]
fn an_outbox_of_which_everything_is_shipped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..10);
    let (place, _) = outbox.claim((Place::OWN, 0), None).unwrap();
    outbox.shipped(place, 10);
    drop(writer);
    assert!(outbox.is_empty());
    outbox.close();
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn beyond_the_bound_the_oldest_go_and_that_shows() {
    let folder = tempfile::tempdir().unwrap();
    let bytes_max = 8 << 20;
    let outbox = Outbox::open(Options {
        bytes_max,
        ..options(folder.path(), "b1")
    })
    .unwrap();
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..300_000);
    spare_is_made(&outbox);
    let depth = outbox.depth();
    let left = waiting(&outbox);
    assert!(depth.bytes <= bytes_max, "{depth:?}");
    assert!(
        depth.lost > 0 && depth.lost + left.len() as u64 == 300_000,
        "{depth:?}"
    );
    assert_eq!(
        left,
        numbered(depth.lost..300_000),
        "the newest are there, with a gap before them"
    );
}

#[test]
fn what_the_shipper_is_at_is_not_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = of_four_files(folder.path());
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..1000);
    let (_, reader) = outbox.claim((Place::OWN, 0), None).unwrap();
    append(&mut writer, 1000..300_000);
    let first = reader.segment().first();
    assert_eq!((first, reader.records().count() > 1000), (Some(0), true));
    assert!(outbox.depth().lost > 0);
    assert_eq!(
        outbox.claim((Place::OWN, 0), None).unwrap().1.segment().first(),
        Some(0)
    );
}

#[test]
fn a_file_that_was_never_finished_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("b0-0-0.seg"), b"").unwrap();
    std::fs::write(folder.path().join("b0-0-1.seg"), vec![0; segment::BYTES]).unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    assert!(waiting(&outbox).is_empty() && outbox.is_empty());
    assert!(!folder.path().join("b0-0-0.seg").exists() && !folder.path().join("b0-0-1.seg").exists());
}

#[test]
fn what_another_version_wrote_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b0-0-0.seg");
    let mut bytes = vec![0; segment::BYTES];
    bytes[..8].copy_from_slice(b"FLEXGATE");
    bytes[8..12].copy_from_slice(&7_u32.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    assert!(waiting(&outbox).is_empty() && std::fs::read(&path).unwrap() == bytes);
}

#[test]
fn a_page_that_never_reached_the_disk_ends_what_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    append(&mut outbox.writer(0).unwrap(), 0..1000);
    outbox.close();
    drop(outbox);
    let path = folder.path().join("b1-0-0.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8192..12288].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let outbox = Outbox::open(options(folder.path(), "b2")).unwrap();
    let read = waiting(&outbox);
    assert!(!read.is_empty() && read.len() < 1000, "{}", read.len());
    assert_eq!(read, numbered(0..read.len() as u64));
}

#[test]
fn what_lies_there_can_be_seen_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(options(folder.path(), "b1")).unwrap();
    let mut writer = outbox.writer(0).unwrap();
    append(&mut writer, 0..20);
    let seen = Outbox::peek(folder.path()).unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].0.boot.as_str(), seen[0].1.clone()), ("b1", 0..20));
}

#[test]
fn a_core_without_room_records_again_as_soon_as_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = of_four_files(folder.path());
    let mut writer = outbox.writer(0).unwrap();
    let mut after = None;
    // The shipper is at every file as soon as it is begun, so that none of them can go.
    while outbox.depth().lost == 0 {
        append(&mut writer, 0..1);
        after = outbox
            .claim((Place::OWN, 0), after)
            .map_or(after, |(place, _)| Some(place.number));
    }
    outbox.unclaim();
    spare_is_made(&outbox);
    append(&mut writer, 0..1);
    // What else is lost does not matter: to make the next file ahead, the keeper lets another one go at any moment.
    let last = waiting(&outbox).last().map(|(counter, _)| counter + 1);
    assert_eq!(
        last,
        Some(outbox.depth().recorded),
        "it has the counter after those that are lost"
    );
}
