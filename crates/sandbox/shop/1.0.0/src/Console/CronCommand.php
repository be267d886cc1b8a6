<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

final class CronCommand extends ShopCommand
{
    use Lasting;

    protected static $defaultName = 'oro:cron';
    protected static $defaultDescription = 'Runs what is due, every minute, until it is told to end';

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $this->endOnSignal();
        while (!$this->isOver()) {
            $this->log->info('cron', 'Nothing is due.', ['node' => $this->settings->node]);
            // Ends early on a signal.
            sleep(60);
        }

        return self::SUCCESS;
    }
}
