//! What is taken of an offer, and which devices are refused.

use std::sync::atomic::Ordering;
use std::time::Duration;

use statefs_journal::BlockDevice;

use super::{Build, Manners, start};
use crate::block::features;

const LONG: Duration = Duration::from_secs(30);

fn refusal(build: Build) -> String {
    start(build, Manners::default(), false, LONG).err().expect("it is refused")
}

#[test]
fn a_device_that_cannot_be_trusted_with_a_store_is_refused() {
    let good = Build::default();
    for (without, why) in
        [(features::VERSION_1, "legacy"), (features::FLUSH, "flush"), (features::ACCESS_PLATFORM, "IOMMU")]
    {
        let said = refusal(Build { features: good.features & !without, ..good });
        assert!(said.contains(why), "{said}");
    }
    assert!(refusal(Build { features: good.features | features::RO, ..good }).contains("read-only"));
    assert!(refusal(Build { block_len: 8192, ..good }).contains("8192"));
    assert!(refusal(Build { refuses_features: true, ..good }).contains("does not accept"));
    assert!(refusal(Build { never_resets: true, ..good }).contains("cannot be reset"));
    for queue_len in [0, 2, 100, 257] {
        assert!(refusal(Build { queue_len, ..good }).contains("length"), "{queue_len}");
    }
}

#[test]
fn what_is_offered_and_of_use_is_taken() {
    let build = Build { features: !features::RO, ..Build::default() };
    let (opened, registers) = start(build, Manners::default(), false, LONG).unwrap();
    let accepted = *registers.accepted();
    for feature in [
        features::VERSION_1,
        features::ACCESS_PLATFORM,
        features::FLUSH,
        features::DISCARD,
        features::WRITE_ZEROES,
        features::BLK_SIZE,
        features::MQ,
        features::EVENT_IDX,
    ] {
        assert_ne!(accepted & feature, 0, "{feature:#x}");
    }
    assert_eq!(opened.device.queues(), 2);
    opened.device.flush().unwrap();
    assert_eq!(registers.device.flushes.load(Ordering::Relaxed), 1);
}
