<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Acme\Shop\Cache;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

final class CacheWarmupCommand extends ShopCommand
{
    protected static $defaultName = 'cache:warmup';
    protected static $defaultDescription = 'Compiles templates and settings into var/cache';

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $files = (new Cache($this->settings))->warmUp();
        $output->writeln("$files files written to {$this->settings->cacheFolder}");

        return self::SUCCESS;
    }
}
