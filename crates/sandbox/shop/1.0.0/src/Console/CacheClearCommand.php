<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Acme\Shop\Cache;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

final class CacheClearCommand extends ShopCommand
{
    protected static $defaultName = 'cache:clear';
    protected static $defaultDescription = 'Empties the cache and, unless told not to, warms it up again';

    protected function configure(): void
    {
        $this->addOption('no-warmup', null, InputOption::VALUE_NONE, 'Leave the cache empty');
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $cache = new Cache($this->settings);
        $cache->clear();
        if (!$input->getOption('no-warmup')) {
            $cache->warmUp();
        }
        $output->writeln('The cache was cleared.');

        return self::SUCCESS;
    }
}
