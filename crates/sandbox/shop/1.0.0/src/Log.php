<?php

declare(strict_types=1);

namespace Acme\Shop;

/** Writes lines as Monolog does: `[2026-11-24T10:32:00.123456+00:00] app.INFO: message {"context":1} []`. */
final class Log
{
    public function __construct(private readonly string $file)
    {
    }

    /** @param array<string, mixed> $context */
    public function info(string $channel, string $message, array $context = []): void
    {
        $this->write($channel, 'INFO', $message, json_encode((object) $context, JSON_UNESCAPED_SLASHES));
    }

    /** The stack trace follows on lines of its own, as Monolog writes it with `includeStacktraces`. */
    public function error(string $channel, string $message, \Throwable $error): void
    {
        $exception = sprintf(
            "[object] (%s(code: %s): %s at %s:%d)\n[stacktrace]\n%s\n",
            $error::class,
            $error->getCode(),
            $error->getMessage(),
            $error->getFile(),
            $error->getLine(),
            $error->getTraceAsString(),
        );
        $this->write($channel, 'CRITICAL', $message, '{"exception":"' . addcslashes($exception, '"\\') . '"}');
    }

    private function write(string $channel, string $level, string $message, string $context): void
    {
        $time = (new \DateTimeImmutable('now', new \DateTimeZone('UTC')))->format('Y-m-d\TH:i:s.uP');
        if (!is_dir(dirname($this->file))) {
            @mkdir(dirname($this->file), 0775, true);
        }
        // One write per entry: entries of several processes never mix. A log that cannot be written is no reason to
        // refuse a customer.
        @file_put_contents($this->file, "[$time] $channel.$level: $message $context []\n", FILE_APPEND);
    }
}
