use flexgate_schemas::IdKey;
use proptest::{collection::vec, prelude::*};

use super::*;

fn header(number: u64) -> Header {
    Header {
        node: "node-a".parse().unwrap(),
        boot: "boot-1".parse().unwrap(),
        core: 3,
        number,
        id_key: IdKey::new(7),
        made_at: 1_800_000_000_000_000,
    }
}

fn create(path: &Path) -> Pen {
    let mut pen = Segment::create(path, header(1), File::set_len).unwrap();
    pen.begin(100);
    pen
}

fn write(pen: &mut Pen, bytes: &[u8]) {
    pen.write(|room| {
        room[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    });
}

fn read(segment: &Arc<Segment>) -> Vec<Vec<u8>> {
    let reader = Reader::new(Arc::clone(segment));
    reader.records().map(|record| record.bytes.to_vec()).collect()
}

#[test]
fn a_reader_sees_what_the_pen_has_written_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let mut pen = create(&folder.path().join("a"));
    let segment = Arc::clone(pen.segment());
    assert!(read(&segment).is_empty());
    write(&mut pen, b"one");
    write(&mut pen, b"three");
    assert_eq!(read(&segment), [b"one".to_vec(), b"three".to_vec()]);
    assert_eq!((segment.first(), segment.sealed()), (Some(100), None));
    assert_eq!(pen.seal(), 2);
    assert_eq!(segment.sealed(), Some(2));
}

#[test]
fn another_mapping_of_the_file_sees_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut pen = create(&path);
    write(&mut pen, b"one");
    let other = Segment::open(&path).unwrap();
    assert_eq!((other.header(), other.first()), (&header(1), Some(100)));
    assert_eq!(read(&other), [b"one".to_vec()]);
    write(&mut pen, b"two");
    assert_eq!(read(&other).len(), 2);
}

#[test]
fn what_a_pen_writes_beyond_its_record_is_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    let mut pen = create(&folder.path().join("a"));
    pen.write(|room| {
        room.fill(0xff);
        5
    });
    assert_eq!(read(pen.segment()), [vec![0xff; 5]]);
    write(&mut pen, b"next");
    assert_eq!(read(pen.segment()), [vec![0xff; 5], b"next".to_vec()]);
}

#[test]
fn a_pen_that_has_no_room_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut pen = create(&folder.path().join("a"));
    let mut written = 0;
    while pen.has_room() {
        write(&mut pen, &[7; 1000]);
        written += 1;
    }
    write(&mut pen, &[8; 1000]);
    assert_eq!(
        (read(pen.segment()).len(), pen.seal() as usize),
        (written, written)
    );
}

#[test]
fn a_cut_is_kept_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut pen = create(&path);
    for number in 0..5 {
        write(&mut pen, &[number]);
    }
    Reader::new(Arc::clone(pen.segment()))
        .records()
        .next()
        .unwrap()
        .cut
        .store(3, Ordering::Release);
    drop(pen);
    let mut reader = Reader::new(Segment::open(&path).unwrap());
    let cut = |reader: &Reader| reader.records().next().unwrap().cut.load(Ordering::Acquire);
    assert_eq!(cut(&reader), 3);
    reader.pass(3);
    assert_eq!((cut(&reader), reader.count()), (0, 3));
    reader.pass(10);
    assert_eq!(reader.count(), 5, "there are no more");
}

#[test]
fn no_room_on_the_disk_is_an_error_and_not_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let full = Segment::create(&path, header(1), |_, _| Err(io::ErrorKind::StorageFull.into()));
    assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
}

proptest! {
    #[test]
    fn records_of_any_length_are_read_as_they_were_written(records in vec(vec(any::<u8>(), 1..600), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let mut pen = create(&folder.path().join("a"));
        for record in &records {
            write(&mut pen, record);
        }
        prop_assert_eq!(read(pen.segment()), records);
    }

    #[test]
    fn a_file_of_any_bytes_is_read_to_some_end(noise in vec(any::<u8>(), 4096)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        drop(create(&path));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[RECORDS_AT..RECORDS_AT + noise.len()].copy_from_slice(&noise);
        std::fs::write(&path, bytes).unwrap();
        let _any = read(&Segment::open(&path).unwrap());
    }
}
