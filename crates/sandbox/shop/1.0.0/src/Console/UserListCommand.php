<?php

declare(strict_types=1);

namespace Acme\Shop\Console;

use Symfony\Component\Console\Helper\Table;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

final class UserListCommand extends ShopCommand
{
    protected static $defaultName = 'oro:user:list';
    protected static $defaultDescription = 'Lists the users';

    protected function configure(): void
    {
        $this->addOption(
            'roles',
            'r',
            InputOption::VALUE_REQUIRED | InputOption::VALUE_IS_ARRAY,
            'Only users with one of these roles, such as ROLE_ADMINISTRATOR',
        );
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $roles = $input->getOption('roles');
        $users = $this->database()
            ->query('select id, username, email, role from oro_user order by id')
            ->fetchAll(\PDO::FETCH_ASSOC);
        $users = array_filter($users, static fn (array $user) => $roles === [] || in_array($user['role'], $roles, true));
        (new Table($output))->setHeaders(['ID', 'Username', 'Email', 'Role'])->setRows($users)->render();

        return self::SUCCESS;
    }
}
