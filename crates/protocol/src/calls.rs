//! The list of all calls. A line here gives a call its [`Method`], and every `match` over it stops compiling
//! until it knows the new one.

use crate::{Call, Kind, Role};

macro_rules! calls {
    ($($variant:ident => $call:ty,)*) => {
        /// Every method there is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is documented where its call is defined")]
        pub enum Method {
            $($variant,)*
        }

        impl Method {
            /// All methods.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => <$call as Call>::METHOD,)* }
            }

            /// How it answers.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => <$call as Call>::KIND,)* }
            }

            /// The least role that may call it.
            pub const fn role(self) -> Role {
                match self { $(Self::$variant => <$call as Call>::ROLE,)* }
            }

            /// The method of this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|method| method.name() == name)
            }
        }
    };
}

calls! {
    BackupCreate => crate::backup::Create,
    BackupList => crate::backup::List,
    BackupRestore => crate::backup::Restore,
    BackupWindow => crate::backup::Window,
    Deploy => crate::deploy::Deploy,
    EmergencyOff => crate::maintenance::EmergencyOff,
    EmergencyOn => crate::maintenance::EmergencyOn,
    EnvironmentInfo => crate::environment::Info,
    LogList => crate::log::List,
    LogSources => crate::log::Sources,
    LogTail => crate::log::Tail,
    LogView => crate::log::View,
    MaintenanceOff => crate::maintenance::Off,
    MaintenanceOn => crate::maintenance::On,
    MaintenanceStatus => crate::maintenance::Status,
    OperationCancel => crate::operation::Cancel,
    OperationList => crate::operation::List,
    OperationWait => crate::operation::Wait,
    PackageBuild => crate::package::Build,
    PackageDeploy => crate::package::Deploy,
    PackageList => crate::package::List,
    PackageUpgrade => crate::package::Upgrade,
    QueueList => crate::queue::List,
    ReleaseList => crate::release::List,
    ReleaseRollback => crate::release::Rollback,
    ServiceRestart => crate::service::Restart,
    ServiceStart => crate::service::Start,
    ServiceStatus => crate::service::Status,
    ServiceStop => crate::service::Stop,
    SmtpDns => crate::smtp::dns::Dns,
    SmtpHistory => crate::smtp::History,
    SmtpQueue => crate::smtp::Queue,
    SmtpRelayRemove => crate::smtp::RelayRemove,
    SmtpRelaySet => crate::smtp::RelaySet,
    SmtpShow => crate::smtp::Show,
    SmtpSign => crate::smtp::dns::Sign,
    SmtpTest => crate::smtp::Test,
    SmtpWhitelist => crate::smtp::Whitelist,
    Status => crate::status::Status,
    Upgrade => crate::upgrade::Upgrade,
    UpgradeRolling => crate::upgrade::UpgradeRolling,
    UpgradeSource => crate::upgrade::UpgradeSource,
    MaintenanceWindows => crate::window::List,
    NodeStep => crate::node::Step,
    NodeStatus => crate::node::Status,
    NodeDatabaseInfo => crate::node::DatabaseInfo,
    NodeQueues => crate::node::Queues,
    NodeLogSources => crate::node::LogSources,
    NodeLogTail => crate::node::LogTail,
    NodePackageReceive => crate::node::PackageReceive,
    NodeMail => crate::node::Mail,
    NodeMailQueue => crate::node::MailQueue,
    NodeMailHistory => crate::node::MailHistory,
    NodeMailListed => crate::node::MailListed,
    NodeMailDns => crate::node::MailDns,
}

impl Method {
    /// Whether only the coordinator may make this call, by its node certificate.
    pub const fn is_node_call(self) -> bool {
        match self {
            Self::NodeStep
            | Self::NodeStatus
            | Self::NodeDatabaseInfo
            | Self::NodeQueues
            | Self::NodeLogSources
            | Self::NodeLogTail
            | Self::NodePackageReceive
            | Self::NodeMail
            | Self::NodeMailQueue
            | Self::NodeMailHistory
            | Self::NodeMailListed
            | Self::NodeMailDns => true,
            Self::BackupCreate
            | Self::BackupList
            | Self::BackupRestore
            | Self::BackupWindow
            | Self::Deploy
            | Self::EmergencyOff
            | Self::EmergencyOn
            | Self::EnvironmentInfo
            | Self::LogList
            | Self::LogSources
            | Self::LogTail
            | Self::LogView
            | Self::MaintenanceOff
            | Self::MaintenanceOn
            | Self::MaintenanceStatus
            | Self::MaintenanceWindows
            | Self::OperationCancel
            | Self::OperationList
            | Self::OperationWait
            | Self::PackageBuild
            | Self::PackageDeploy
            | Self::PackageList
            | Self::PackageUpgrade
            | Self::QueueList
            | Self::ReleaseList
            | Self::ReleaseRollback
            | Self::ServiceRestart
            | Self::ServiceStart
            | Self::ServiceStatus
            | Self::ServiceStop
            | Self::SmtpDns
            | Self::SmtpHistory
            | Self::SmtpQueue
            | Self::SmtpRelayRemove
            | Self::SmtpRelaySet
            | Self::SmtpShow
            | Self::SmtpSign
            | Self::SmtpTest
            | Self::SmtpWhitelist
            | Self::Status
            | Self::Upgrade
            | Self::UpgradeRolling
            | Self::UpgradeSource => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for method in Method::ALL {
            assert_eq!(Method::named(method.name()), Some(*method));
            assert_eq!(method.is_node_call(), method.name().starts_with("node."));
        }
    }
}
