<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Fails every time: what the update did before it stays. */
final class ReviewImportCommand extends ShopCommand
{
    protected static $defaultName = 'oro:review:import';
    protected static $defaultDescription = 'Imports reviews from a service that is no longer there';

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        throw new \RuntimeException('the reviews service does not answer');
    }
}
