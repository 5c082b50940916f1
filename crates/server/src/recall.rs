//! What was worked out for a request and may serve the next one: a bounded memory in two generations. It knows nothing of
//! what it keeps; whoever puts something in also knows when it no longer holds.
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Entries of a generation. When one is full, the one before it is forgotten, so at most twice as many are kept.
const GENERATION: usize = 8192;

/// SHA-256 of whatever names the entry.
pub type Name = [u8; 32];

type Entries = HashMap<Name, Arc<dyn Any + Send + Sync>>;

/// See the module's doc.
#[derive(Default)]
pub struct Recall(Mutex<[Entries; 2]>);

impl Recall {
    /// What was put under a name, if it is still there.
    pub fn get<T: Any + Send + Sync>(&self, name: &Name) -> Option<Arc<T>> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        if let Some(found) = young.get(name) {
            return Arc::clone(found).downcast().ok();
        }
        // What is still asked for lives on.
        let found = old.remove(name)?;
        insert(&mut generations, *name, Arc::clone(&found));
        found.downcast().ok()
    }

    /// Keeps something under a name.
    pub fn put<T: Any + Send + Sync>(&self, name: Name, value: Arc<T>) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        insert(&mut generations, name, value);
    }
}

fn insert([young, old]: &mut [Entries; 2], name: Name, value: Arc<dyn Any + Send + Sync>) {
    if young.len() >= GENERATION {
        *old = std::mem::take(young);
    }
    young.insert(name, value);
}
