<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

final class OrderStatisticsCommand extends ShopCommand
{
    protected static $defaultName = 'oro:order:statistics';
    protected static $defaultDescription = 'Counts orders, with and without a coupon';

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $row = $this->database()
            ->query("select count(*) as orders, count(*) filter (where coupon <> '') as coupons, sum(total) as total from orders")
            ->fetch();
        $output->writeln("{$row['orders']} orders, {$row['coupons']} with a coupon, {$row['total']} in total");

        return self::SUCCESS;
    }
}
