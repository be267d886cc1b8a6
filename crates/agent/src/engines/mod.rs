//! One file per outside program: what is wanted of it as typed functions, its machine output parsed, its way of
//! saying no as an enum. An engine knows no call.

pub mod composer;
pub mod git;
pub mod greeting;
pub mod haproxy;
pub mod http;
pub mod mailer;
pub mod nginx;
pub mod opendkim;
pub mod openssl;
pub mod pgbackrest;
pub mod php;
pub mod php_fpm;
pub mod postfix;
pub mod postgres;
pub mod rabbitmq;
pub mod relay;
pub mod restic;
pub mod smtp;
pub mod supervisor;
pub mod systemd;
