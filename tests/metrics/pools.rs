//! Pools.

use gcp_iam_credentials::ImpersonationPool;

use crate::recorder::Recorder;
use crate::support::runtime::one_paused_thread;
use crate::support::scripted_service::Script;

/// conf: N1, N3
#[test]
fn the_identities_of_all_pools_are_counted_until_they_are_dropped() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let pool =
            |capacity| ImpersonationPool::builder(Script::default().client()).capacity(capacity).build();
        let (large, small) = (pool(100), pool(2));
        for number in 0..5 {
            for pool in [&large, &small] {
                let acting = pool.impersonate(format!("customer-{number}@p.iam.gserviceaccount.com"));
                acting.access_token(["openid"]).unwrap().token().await.unwrap();
            }
        }
        assert_eq!(recorder.value("pool_identities"), 7.0);
        assert_eq!(recorder.value("pool_evictions_total"), 3.0);
        assert_eq!(recorder.value("fetch_queue_duration_seconds"), 10.0);
        drop(small);
        assert_eq!(recorder.value("pool_identities"), 5.0);
    });
    assert_eq!(recorder.value("pool_identities"), 0.0);
}
