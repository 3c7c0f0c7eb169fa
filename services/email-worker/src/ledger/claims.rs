//! The actor that claims.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use platform::postgres::Kept;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::batch::Batcher;
use super::{Claim, Fences, LedgerCounters, LedgerDown, LedgerOptions, sql};
use crate::suppressions::AddressHashes;

/// More than a worker has deliveries at once.
const QUEUE: usize = 1024;

type Answer = Result<Claim, LedgerDown>;

#[derive(Debug)]
struct Request {
    id: Uuid,
    /// Not to be sent if one of these is suppressed.
    address: Option<AddressHashes>,
    answer: oneshot::Sender<Answer>,
}

/// Where claims are asked for.
#[derive(Debug, Clone)]
pub(super) struct Handle(mpsc::Sender<Request>);

impl Handle {
    pub(super) async fn claim(&self, id: Uuid) -> Answer {
        self.claim_for(id, None).await
    }

    pub(super) async fn claim_for(&self, id: Uuid, address: Option<AddressHashes>) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0.send(Request { id, address, answer }).await.map_err(|_| LedgerDown::stopping())?;
        answered.await.map_err(|_| LedgerDown::stopping())?
    }
}

#[derive(Debug)]
pub(super) struct Claims {
    queue: Batcher<Request>,
    // Taken off the queue and not asked for yet: a second claim of an id waits for the answer to the first.
    waiting: Vec<Request>,
    database: Kept,
    owner: Uuid,
    fences: Fences,
    lease: Duration,
    marks_suppressed: bool,
    answer_within: Duration,
    counters: Arc<LedgerCounters>,
}

impl Claims {
    pub(super) fn new(
        database: Kept,
        owner: Uuid,
        fences: Fences,
        options: &LedgerOptions,
        counters: Arc<LedgerCounters>,
    ) -> (Handle, Self) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let queue = Batcher::new(queue, options.claim_window, options.claim_batch);
        let LedgerOptions { lease, marks_suppressed, answer_within, .. } = *options;
        let waiting = Vec::new();
        let claims = Self { queue, waiting, database, owner, fences, lease, marks_suppressed, answer_within, counters };
        (Handle(sender), claims)
    }

    pub(super) async fn run(mut self, token: CancellationToken) {
        loop {
            match token.run_until_cancelled(self.queue.fill(&mut self.waiting)).await {
                Some(true) => {}
                Some(false) | None => break,
            }
            let batch = take_one_per_id(&mut self.waiting);
            match self.claim(&batch).await {
                Ok(claims) => answer(batch, claims),
                Err(down) => {
                    self.refuse(batch, &down);
                    self.refuse_all(&down);
                }
            }
        }
        self.queue.close();
        self.refuse_all(&LedgerDown::stopping());
    }

    /// One answer a request, in their order.
    async fn claim(&mut self, batch: &[Request]) -> Result<Vec<Claim>, LedgerDown> {
        let ids: Vec<Uuid> = batch.iter().map(|request| request.id).collect();
        let claim = sql::Claim { ids, owner: self.owner, fence: self.fences.next(), lease: self.lease };
        self.counters.claim_trips.fetch_add(1, Ordering::Relaxed);
        // The database counts the lease from its own now, which is later: this end of it comes first.
        let until = Instant::now() + self.lease;
        // Where nobody asks for suppressions, the statement knows nothing of them.
        let (refused, ids) = if batch.iter().any(|request| request.address.is_some()) {
            let addresses = batch.iter().map(|request| request.address).collect();
            let statement = sql::ClaimUnlessSuppressed { claim, addresses, marks: self.marks_suppressed };
            (self.database.ask(&statement, self.answer_within).await?, statement.claim.ids)
        } else {
            (self.database.ask(&claim, self.answer_within).await?, claim.ids)
        };
        self.counters.claims.fetch_add(ids.len() as u64, Ordering::Relaxed);
        let mut claims = vec![Claim::Ours { until }; ids.len()];
        for (id, refusal) in refused {
            if let Ok(at) = ids.binary_search(&id) {
                claims[at] = refusal;
            }
        }
        Ok(claims)
    }

    fn refuse(&self, batch: Vec<Request>, down: &LedgerDown) {
        for request in batch {
            // Whoever no longer waits needs no answer.
            let _ = request.answer.send(Err(down.clone()));
        }
    }

    /// Those behind a failed statement would only wait for the next failure.
    fn refuse_all(&mut self, down: &LedgerDown) {
        loop {
            self.queue.take_waiting(&mut self.waiting);
            if self.waiting.is_empty() {
                return;
            }
            let waiting = std::mem::take(&mut self.waiting);
            self.refuse(waiting, down);
        }
    }
}

fn answer(batch: Vec<Request>, claims: Vec<Claim>) {
    for (request, claim) in batch.into_iter().zip(claims) {
        // Whoever no longer waits leaves a claim behind, which is this worker's and runs out.
        let _ = request.answer.send(Ok(claim));
    }
}

/// Takes the first request for each id, sorted by id; leaves the others.
fn take_one_per_id(waiting: &mut Vec<Request>) -> Vec<Request> {
    waiting.sort_by_key(|request| request.id);
    let mut batch: Vec<Request> = Vec::with_capacity(waiting.len());
    let mut later = Vec::new();
    for request in waiting.drain(..) {
        match batch.last() {
            Some(last) if last.id == request.id => later.push(request),
            _ => batch.push(request),
        }
    }
    *waiting = later;
    batch
}
