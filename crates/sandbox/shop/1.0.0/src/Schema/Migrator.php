<?php

declare(strict_types=1);

namespace Acme\Shop\Schema;

/** Brings the schema of a database to the version that the code knows. */
final class Migrator
{
    public function __construct(private readonly \PDO $database)
    {
    }

    public function isInstalled(): bool
    {
        return $this->database->query("select to_regclass('schema_version') is not null")->fetchColumn() === true;
    }

    /** The schema's version; 0 before the installation. */
    public function currentVersion(): int
    {
        if (!$this->isInstalled()) {
            return 0;
        }

        return (int) $this->database->query('select coalesce(max(version), 0) from schema_version')->fetchColumn();
    }

    /** @return array<int, Migration> what is newer than the schema, by version */
    public function pending(): array
    {
        $current = $this->currentVersion();

        return array_filter(self::known(), static fn (int $version) => $version > $current, ARRAY_FILTER_USE_KEY);
    }

    /**
     * All or nothing: PostgreSQL changes schemas in transactions, so a migration that fails leaves no trace.
     *
     * @param callable(string): void $say
     * @param null|callable(\PDO): void $afterwards more to do in the same transaction
     */
    public function migrate(callable $say, ?callable $afterwards = null): void
    {
        $this->database->beginTransaction();
        try {
            $this->database->exec('create table if not exists schema_version (
                version integer primary key,
                description varchar(255) not null,
                applied_at timestamptz not null default clock_timestamp()
            )');
            $record = $this->database->prepare('insert into schema_version (version, description) values (?, ?)');
            foreach ($this->pending() as $version => $migration) {
                $say(sprintf('> migration %d: %s', $version, $migration->description()));
                foreach ($migration->statements() as $statement) {
                    $this->database->exec($statement);
                }
                $record->execute([$version, $migration->description()]);
            }
            if ($afterwards !== null) {
                $afterwards($this->database);
            }
            $this->database->commit();
        } catch (\Throwable $error) {
            if ($this->database->inTransaction()) {
                $this->database->rollBack();
            }
            throw $error;
        }
    }

    /** @return array<int, Migration> */
    private static function known(): array
    {
        $migrations = [];
        foreach (glob(__DIR__ . '/Version*.php') as $file) {
            $class = __NAMESPACE__ . '\\' . basename($file, '.php');
            $migrations[(int) substr(basename($file, '.php'), strlen('Version'))] = new $class();
        }
        ksort($migrations);

        return $migrations;
    }
}
