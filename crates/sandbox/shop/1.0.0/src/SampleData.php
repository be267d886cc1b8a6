<?php

declare(strict_types=1);

namespace Acme\Shop;

/** A few products, customers and orders, so that a new shop has something to show. */
final class SampleData
{
    private const PRODUCTS = ['Lamp' => 39.90, 'Chair' => 89.00, 'Desk' => 249.00, 'Shelf' => 119.50, 'Rug' => 64.00];
    private const CUSTOMERS = ['Jane Doe', 'John Smith', 'Ada Lovelace', 'Grace Hopper'];
    private const ORDERS = 25;

    /** @return string what was loaded, for people */
    public static function load(\PDO $database): string
    {
        $product = $database->prepare('insert into products (sku, name, price) values (?, ?, ?)');
        foreach (self::PRODUCTS as $name => $price) {
            $product->execute([sprintf('SKU-%s', strtoupper($name)), $name, $price]);
        }
        $customer = $database->prepare('insert into customers (name) values (?)');
        foreach (self::CUSTOMERS as $name) {
            $customer->execute([$name]);
        }
        $order = $database->prepare('insert into orders (customer, total) values (?, ?)');
        $prices = array_values(self::PRODUCTS);
        for ($i = 0; $i < self::ORDERS; ++$i) {
            $order->execute([self::CUSTOMERS[$i % count(self::CUSTOMERS)], $prices[$i % count($prices)]]);
        }

        return sprintf(
            'sample data: %d products, %d customers, %d orders',
            count(self::PRODUCTS),
            count(self::CUSTOMERS),
            self::ORDERS,
        );
    }
}
