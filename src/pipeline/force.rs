//! The rules and settings in force, which can be changed while the stages run.

use std::sync::{Arc, Mutex};

use super::lock;
use crate::correlator::CorrelatorSettings;
use crate::inspector::Inspector;
use crate::rules::RuleSet;

/// The rules and settings in force. Each batch of events is held against those that were in force when it was made.
#[derive(Clone, Debug)]
pub struct SharedRules(Arc<Mutex<Arc<InForce>>>);

/// Settings of the later stages that can be changed while they run.
#[derive(Clone, Debug)]
pub struct Policy {
    pub inspector: Inspector,
    /// Of these [`Correlator::set_settings`](crate::correlator::Correlator::set_settings) says which are heeded.
    pub correlator: CorrelatorSettings,
}

/// What is in force at one time.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) rules: Arc<RuleSet>,
    /// None for that of the plan.
    pub(super) policy: Option<Policy>,
    /// Which policy this is; it never goes back.
    pub(super) edition: u64,
}

impl InForce {
    pub(super) fn new(rules: RuleSet) -> Self {
        Self { rules: Arc::new(rules), policy: None, edition: 0 }
    }
}

impl SharedRules {
    /// Puts a first set in force.
    pub fn new(rules: RuleSet) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(InForce::new(rules)))))
    }

    /// The rules in force.
    pub fn get(&self) -> Arc<RuleSet> {
        Arc::clone(&lock(&self.0).rules)
    }

    /// Puts other rules in force; the policy stays.
    pub fn set(&self, rules: RuleSet) {
        let mut force = lock(&self.0);
        let (policy, edition) = (force.policy.clone(), force.edition);
        *force = Arc::new(InForce { rules: Arc::new(rules), policy, edition });
    }

    /// Puts other rules and another policy in force, both at once.
    pub fn replace(&self, rules: RuleSet, policy: Policy) {
        let mut force = lock(&self.0);
        let edition = force.edition + 1;
        *force = Arc::new(InForce { rules: Arc::new(rules), policy: Some(policy), edition });
    }

    pub(super) fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&lock(&self.0))
    }
}
