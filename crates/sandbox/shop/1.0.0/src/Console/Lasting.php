<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

/** A command that goes on until it is told to end, and then finishes what it is doing. */
trait Lasting
{
    private bool $over = false;

    private function endOnSignal(): void
    {
        // Symfony's console has PHP look at any time, also in the middle of what throws.
        pcntl_async_signals(false);
        foreach ([SIGTERM, SIGINT] as $signal) {
            pcntl_signal($signal, function (): void {
                $this->over = true;
            });
        }
    }

    /** Signals are seen here alone: one that comes while an extension is about to throw would be lost. */
    private function isOver(): bool
    {
        pcntl_signal_dispatch();

        return $this->over;
    }
}
