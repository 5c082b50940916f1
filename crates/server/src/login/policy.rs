//! What a sign-in still needs. Pure, and the only place that decides it: every way in ends at `admit`, which asks here.
use crate::config::{EmailOtp, FactorPolicy};

/// What is missing before a session may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// One of the second factors that are set up.
    SecondFactor,
    /// A code that is mailed to the account's address.
    EmailCode,
    /// A second factor has to be set up now.
    Enrolment,
}

impl Needs {
    const ALL: [Self; 3] = [Self::SecondFactor, Self::EmailCode, Self::Enrolment];

    /// The name in the database.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SecondFactor => "second_factor",
            Self::EmailCode => "email_code",
            Self::Enrolment => "enrolment",
        }
    }

    /// From the name in the database.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|needs| needs.name() == name)
    }
}

/// The most that was proven in a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// The password.
    Password,
    /// The mailbox, alone or with the password.
    Mailbox,
    /// A second factor.
    SecondFactor,
}

/// What the device was for the user before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Device {
    /// The user never signed in on it.
    Unknown,
    /// The user has signed in on it.
    Known,
    /// The user proved a second factor on it a while ago, and wished that to be remembered.
    Trusted,
}

/// What is known of a sign-in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// The setting.
    pub(super) policy: FactorPolicy,
    /// The setting.
    pub(super) email_otp: EmailOtp,
    /// The user may not be without a second factor.
    pub(super) required: bool,
    /// A second factor is set up.
    pub(super) enrolled: bool,
    /// What was proven so far.
    pub(super) proven: Strength,
    /// On which device.
    pub(super) device: Device,
}

impl Facts {
    /// Whether it takes a second factor, were it not for the device.
    pub(super) fn asks_for_factor(self) -> bool {
        self.enrolled && self.policy != FactorPolicy::Off && self.proven != Strength::SecondFactor
    }
}

/// What is missing; nothing when a session may begin.
pub(super) fn missing(facts: Facts) -> Option<Needs> {
    if facts.proven == Strength::SecondFactor {
        return None;
    }
    if facts.asks_for_factor() {
        return (facts.device != Device::Trusted).then_some(Needs::SecondFactor);
    }
    let mailbox_proven = facts.proven == Strength::Mailbox;
    if facts.required && facts.policy != FactorPolicy::Off {
        // Two proofs before a factor is set up: whoever has only the password must not be the one who does.
        return Some(if mailbox_proven { Needs::Enrolment } else { Needs::EmailCode });
    }
    let code = match facts.email_otp {
        EmailOtp::Off => false,
        EmailOtp::Always => true,
        EmailOtp::NewDevice => facts.device == Device::Unknown,
    };
    (code && !mailbox_proven).then_some(Needs::EmailCode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use FactorPolicy::{Off, Optional, Required};

    /// Every combination of facts.
    fn every() -> Vec<Facts> {
        let mut all = Vec::new();
        for policy in [Off, Optional, Required] {
            for email_otp in [EmailOtp::Off, EmailOtp::Always, EmailOtp::NewDevice] {
                for proven in [Strength::Password, Strength::Mailbox, Strength::SecondFactor] {
                    for device in [Device::Unknown, Device::Known, Device::Trusted] {
                        for (by_role, enrolled) in
                            [(false, false), (false, true), (true, false), (true, true)]
                        {
                            let required = by_role || policy == Required;
                            all.push(Facts { policy, email_otp, required, enrolled, proven, device });
                        }
                    }
                }
            }
        }
        all
    }

    fn without_factor() -> impl Iterator<Item = Facts> {
        every().into_iter().filter(|facts| facts.proven != Strength::SecondFactor)
    }

    #[test]
    fn nobody_with_a_second_factor_gets_in_without_it_but_on_a_trusted_device() {
        let asked = |facts: &Facts| facts.policy != Off && facts.enrolled && facts.device != Device::Trusted;
        let mut asked: Vec<Facts> = without_factor().filter(asked).collect();
        assert!(asked.len() > 20);
        asked.retain(|facts| missing(*facts) != Some(Needs::SecondFactor));
        assert!(asked.is_empty(), "{asked:?}");
    }

    #[test]
    fn nobody_who_has_to_have_a_second_factor_gets_in_without_one() {
        for facts in without_factor().filter(|facts| facts.policy != Off && facts.required && !facts.enrolled)
        {
            let expected =
                if facts.proven == Strength::Mailbox { Needs::Enrolment } else { Needs::EmailCode };
            assert_eq!(missing(facts), Some(expected), "{facts:?}");
        }
    }

    #[test]
    fn a_mailed_code_is_asked_for_as_the_setting_says_and_only_once() {
        for facts in without_factor().filter(|facts| !facts.enrolled && !facts.required) {
            let asked = facts.email_otp == EmailOtp::Always
                || (facts.email_otp == EmailOtp::NewDevice && facts.device == Device::Unknown);
            let expected = (asked && facts.proven == Strength::Password).then_some(Needs::EmailCode);
            assert_eq!(missing(facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn a_proven_second_factor_is_always_enough() {
        let proven = every().into_iter().filter(|facts| facts.proven == Strength::SecondFactor);
        assert!(proven.into_iter().all(|facts| missing(facts).is_none()));
    }
}
