<?php

declare(strict_types=1);

namespace Acme\Shop;

/** Everything the shop is told from outside, read from environment variables in this one place. */
final class Settings
{
    public function __construct(
        public readonly string $root,
        public readonly string $version,
        public readonly string $node,
        public readonly string $databaseUrl,
        public readonly string $queueUrl,
        public readonly string $mailerDsn,
        public readonly string $logFile,
        public readonly string $cacheFolder,
        public readonly string $maintenanceFile,
    ) {
    }

    public static function fromEnvironment(): self
    {
        $root = dirname(__DIR__);

        return new self(
            root: $root,
            version: trim((string) file_get_contents($root . '/VERSION')),
            node: self::variable('ORO_NODE', (string) gethostname()),
            databaseUrl: self::variable('ORO_DB_URL', ''),
            queueUrl: self::variable('ORO_MQ_URL', ''),
            mailerDsn: self::variable('ORO_MAILER_DSN', ''),
            logFile: self::variable('LOG_FILE', $root . '/var/logs/prod.log'),
            cacheFolder: $root . '/var/cache/prod',
            maintenanceFile: self::variable('ORO_MAINTENANCE_FILE', $root . '/var/maintenance'),
        );
    }

    private static function variable(string $name, string $default): string
    {
        $value = getenv($name);

        return $value === false || $value === '' ? $default : $value;
    }
}
